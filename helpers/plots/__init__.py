"""Every picture of the project, in one look. Arrays in, `Axes` or `Figure` out."""

from helpers.plots.charts import confusion_matrix, learning_curves, score_bars, score_intervals, share_bars, table
from helpers.plots.diagrams import class_map_network, weight_generating_network
from helpers.plots.pictures import (
    GUIDED_NOTE,
    OPACITY,
    RISE,
    gradient_colours,
    gradient_key,
    grey,
    heat_key,
    show_credit,
    show_detail,
    show_gradient,
    show_heat,
    show_image,
    show_signed,
    signed_key,
)
from helpers.plots.sheets import asked_for, case_row, contributions, map_gallery, positive_contributions, show_grid
from helpers.plots.style import CLASS_COLOURS, CLASS_HATCHES, HEAT, SIGNED, WIDTH, literal, save_figure
