"""The page of notebook 11: a picture, a network, a class and a method to choose, and what comes of it."""

import html
import itertools
import threading
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from helpers.viewer import networks, panels, saving, views
from helpers.viewer.controls import ERROR, LIKELIEST, NOTE, Controls, unquoted
from helpers.viewer.gallery import Gallery

MOST_BARS = 5
WITHOUT_MAP = "plain gradient"  # the method that asks least of a network
BUSY = '<div role="status">Working …</div>'
INTERRUPTED = "Interrupted. Choose again."
ALL_ZERO = "The map is zero everywhere: this method finds no evidence in the picture for this class."
NO_NETWORK = "no network: weights/ holds none. Fetch them (git checkout -- weights), or give your own file"
GUESS = "A guess, from {}. A wrong choice gives no error, only nonsense."


class Page(Controls):
    """`page = Page()`, shown by a notebook as widgets; `page.view` is what it explains (a `views.View`, or None).

    picture: the path of a picture to begin with; model, custom_objects: a network as `networks.open_network` takes it.
    What cannot be read or explained is said in the page.
    """

    def __init__(self, picture=None, model=None, custom_objects=None):
        self._gallery, self._networks = Gallery(), dict.fromkeys(networks.shipped())
        self._custom_objects = custom_objects
        super().__init__(self._gallery.names, list(self._networks))
        self._one_at_a_time = threading.RLock()  # JupyterLab hands choices on in a thread of their own as well
        self._reacting, self._maps, self._scored = False, [], {}
        self._image, self._credit = None, ""
        self._connect()
        self._react(self._choose_picture)
        said = [self.message.value]
        for field, given in ((self.file, model), (self.path, picture)):
            if given:
                field.value = str(given)
                said.append(self.message.value)
        said = said[1:] if self._maps else said  # a network or a picture of one's own took the place of the first
        self.message.value = "".join(dict.fromkeys(said))

    def _connect(self):
        reactions = {self.picture: self._choose_picture, self.upload: self._choose_upload, self.path: self._choose_path}
        reactions |= {self.network: self._choose_network, self.file: self._choose_file, self.head: self._choose_head}
        reactions |= {self.scaling: self._choose_scaling, self.search: self._search_class}
        asked = self.class_index, self.method, self.compare, self.second_class, self.second_method
        for control, reaction in (reactions | dict.fromkeys(asked, self._explain)).items():
            control.observe(lambda change, reaction=reaction: self._react(reaction), "value")
        for field in (self.path, self.file, self.search):  # Enter once more, without a change
            field.on_msg(lambda field, content, _: field.value and self._react(reactions[field]))
        for control in (self.strength, self.follow):
            control.observe(self._redraw, "value")
        self.save.on_click(lambda _: self._react(self._save))

    def _react(self, reaction):
        """React to a choice, but not to those that a reaction makes; why it cannot be done stands in the page."""
        with self._one_at_a_time:
            if self._reacting:
                return
            self._reacting, self.message.value, said = True, BUSY, INTERRUPTED
            try:
                said = reaction() or ""
            except Exception as error:  # the page stays alive; expected errors say what to do, others their kind
                kind = "" if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: "
                said = ERROR.format(text=html.escape(f"{kind}{error}"))
            finally:
                self._reacting = False
                self._show()
                self.message.value = said

    def _choose_picture(self):
        self._image, self._credit = self._gallery.open(self.picture.value)
        return self._explain()

    def _choose_upload(self):
        uploaded, self.upload.value = self.upload.value[-1], ()  # emptied, so that the same file may come again
        self._gallery.take(uploaded["name"], bytes(uploaded["content"]))
        return self._choose_own(uploaded["name"])

    def _choose_path(self):
        name, self.path.value = self._gallery.take_file(unquoted(self.path.value)), ""
        return self._choose_own(name)

    def _choose_own(self, name):
        self.picture.options, self.picture.value = self._gallery.names, name
        return self._choose_picture()

    def _choose_file(self):
        name = unquoted(self.file.value)
        self._networks[name] = networks.open_network(name, self._custom_objects)
        self.network.options, self.network.value, self.file.value = list(self._networks), name, ""
        return self._choose_network()

    def _choose_network(self):
        name, self._maps, self._scored = self.network.value, [], {}
        if name is None:
            raise FileNotFoundError(NO_NETWORK)
        network = self._networks[name] = self._networks[name] or networks.open_network(name)
        method, self.method.options = self.method.value, list(network.methods)
        self.method.value = method if method in network.methods else self.method.options[0]
        self.head.options = list(network.heads) if len(network.heads) > 1 else []
        self.head.value = network.head if self.head.options else None
        self.search.value, self.class_index.value, self.second_class.options = "", LIKELIEST, []
        self.scaling.value, self.scaling.disabled = network.scaling, name in networks.SHIPPED
        return self._explain()

    def _choose_head(self):
        self._networks[self.network.value].choose_head(self.head.value)
        return self._choose_network()

    def _choose_scaling(self):
        if network := self._networks.get(self.network.value):
            network.scaling, network.guessed = self.scaling.value, ""
        return self._explain()

    def _search_class(self):
        found, word = self._matching(), self.search.value.strip()
        if not self._scored:
            return self._explain()  # says why
        if not found:
            self.search.value = ""
            self._score(self._networks[self.network.value])  # the choice is of all classes again
            raise ValueError(f"no class of this network is called {word!r}: try part of an English name, such as 'cat'")
        self.class_index.options = [*self.class_index.options[:1], (self._scored[found[0]][0], found[0])]
        self.class_index.value = found[0] if word else LIKELIEST
        return self._explain()

    def _matching(self):
        """The indices of the classes whose name holds what is searched for, likeliest first."""
        word = self.search.value.strip().casefold()
        return [index for index, (name, _) in self._scored.items() if word in name.casefold()]

    def _explain(self):
        network, self._maps, self._scored = self._networks.get(self.network.value), [], {}
        if network is None or self._image is None:  # it could not be opened before
            return self._choose_network() if network is None else self._choose_picture()
        self._score(network)
        for method, index in self._asked():
            try:
                view = views.look(network, self._image, method, index)
            except ValueError as error:
                other = "another network" if method == WITHOUT_MAP else f"the method {WITHOUT_MAP!r}"
                raise ValueError(f"{error}. Choose {other}") from error
            self._maps.append((f"{method} for {self._scored[index][0]}", view))
        return "" if all(np.any(view.raw) for _, view in self._maps) else ALL_ZERO

    def _score(self, network):
        """The class probabilities of the picture, likeliest first, which the choices of classes name."""
        self.probabilities = views.probabilities(network, self._image)
        order = np.argsort(-self.probabilities, kind="stable").tolist()
        self._scored = {index: (network.class_name(index), float(self.probabilities[index])) for index in order}
        named = {index: "{} · {:.1%}".format(*self._scored[index]) for index in order}
        found, wanted = self._matching(), self.class_index.value
        likeliest = f"the likeliest: {self._scored[order[0]][0]}", LIKELIEST
        self.class_index.options = [likeliest, *((named[index], index) for index in found)]
        self.class_index.value = wanted if wanted in found else LIKELIEST
        second, method = self.second_class.value, self.second_method.value
        self.second_class.options = self.second_method.options = []
        if self.compare.value:
            second = order[1] if second is None else second
            self.second_class.options = [(named[index], index) for index in dict.fromkeys([*found, second])]
            self.second_method.options = list(network.methods)
            self.second_class.value = second
            self.second_method.value = method if method in network.methods else self.method.value

    @property
    def explained(self):
        """The index of the class that is explained: the chosen one, else the likeliest."""
        chosen = self.class_index.value
        return int(self.probabilities.argmax()) if chosen == LIKELIEST else chosen

    @property
    def view(self):
        return self._maps[0][1] if self._maps else None

    def _asked(self):
        """What is explained: the (method, class index) of each map."""
        second = [(self.second_method.value, self.second_class.value)] if self.compare.value else []
        return [(self.method.value, self.explained), *second]

    def _bars(self):
        """The likeliest classes, and those that are explained: [(name, score, whether it is explained)]."""
        explained = [index for _, index in self._asked()]
        shown = dict.fromkeys([*itertools.islice(self._scored, MOST_BARS), *explained])
        return [(*self._scored[index], index in explained) for index in shown]

    def _show(self):
        network, seen = self._networks.get(self.network.value), self._panels[0]
        if self._scored:
            pixels = np.broadcast_to(network.pixels(self._image), (*network.size, 3))
            seen.show("What the network sees ({} × {})".format(*network.size), pixels, self._credit)
        else:
            seen.clear()
        self.bars.value = panels.bars(self._bars()) if self._scored else ""
        self.guess.value = NOTE.format(GUESS.format(network.guessed)) if network and network.guessed else ""
        shown = {self._panels[2].box: self.compare.value, self._comparing: self.compare.value}
        for box, is_shown in (shown | {self.head: bool(self.head.options)}).items():
            box.layout.display = None if is_shown else "none"
        self.bars.layout.order = None if self.compare.value else "1"  # two maps need a row of their own
        self._show_maps()

    def _overlay(self, view):
        return views.overlay(view, self.strength.value, self.follow.value)

    def _redraw(self, change):
        with self._one_at_a_time:
            self._show_maps()

    def _show_maps(self):
        for panel, shown in itertools.zip_longest(self._panels[1:], self._maps):
            if shown:
                title, view = shown
                panel.show(title, self._overlay(view), panels.scale_bar(view))
            else:
                panel.clear()

    def _repr_mimebundle_(self, **kwargs):
        """The widgets, and for readers without a kernel a line of text."""
        instead = "The page appears here when the notebook runs; what it showed last is below."
        return {**self.box._repr_mimebundle_(**kwargs), "text/plain": instead}

    def figure(self):
        """What the page shows as an ordinary Figure. Raises ValueError where the page explains nothing."""
        if not self._maps:
            raise ValueError("the page shows no explanation; its message says why")
        shown = [(title, view, self._overlay(view)) for title, view in self._maps]
        caption = ". ".join(f"{name}: {value}" for name, value in self._settings().items())
        return panels.sheet(shown, self._bars(), self._credit, caption)

    def _settings(self):
        """How what is shown was made."""
        name = self.network.value
        network = name if name in networks.SHIPPED else Path(name).name
        network += f", head {self.head.value}" if self.head.options else ""
        follows = ", its opacity follows the map" if self.follow.value else ""
        settings = {"Picture": self.picture.value, "Network": network, "Pixels": self.scaling.value}
        settings |= {"Overlay": f"{self.strength.value:.0%}{follows}"}
        return settings | {"Shown": " and ".join(title for title, _ in self._maps)}

    def _save(self):
        figure, settings = self.figure(), self._settings()
        plt.close(figure)  # else the next cell shows it
        text = ". ".join(f"{title}: {views.in_words(view)}" for title, view in self._maps)
        return saving.link(saving.save(figure, "{Picture}: {Shown}".format(**settings), text, settings))
