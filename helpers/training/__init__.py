"""Training that can be killed and goes on, what it keeps, and the trained networks that come with the project."""

from helpers.training.accuracy import accuracy_interval, accuracy_text
from helpers.training.loop import evaluate, fit, in_terminal, summary, told_in_one_line, train_step
from helpers.training.machines import choose_strategy, is_chief, scaled
from helpers.training.schedules import cosine_schedule, paper_schedule
