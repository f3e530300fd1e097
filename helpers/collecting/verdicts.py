"""Which refusals are for good: those after which other pictures came, so that the network was not at fault."""

import hashlib

from helpers.collecting import curation
from helpers.collecting.services import LeftOut, Refused, ServiceError, Unreachable

SILENT = 6  # photos in a row that did not come, or one same picture for all: the network is at fault, not the photos
FORMER = 3  # kept photos that are asked for again then, one after the other: any may be gone meanwhile
AGAIN = "Mend the network and run the same again; what is collected stays. Where it works, a next run looks further."


class Verdicts:
    """The verdicts on the photos of `label`, in the order in which they are decided; refused ones wait in a row.

    catalogue: a `Catalogue`; client: a `Client`, which fetches a kept photo again where a row has become long.
    Until one is kept, photos that an earlier run was refused do not count in a row: each run gets further.
    """

    def __init__(self, catalogue, client, label):
        self._catalogue, self._client, self._label = catalogue, client, label
        self._refused_before = set() if catalogue.records() else set(catalogue.reasons(label))
        self._row, self._came = [], None  # [(photo, trouble)]; the `Fingerprint` of what came last, None for nothing

    @property
    def waiting(self):
        """How many refused photos wait for their verdict: a run that is killed now asks for them again."""
        return sum(trouble is not None for _, trouble in self._row)

    def add(self, photo, trouble, came):
        """Note a decision: the `LeftOut` or `Unreachable`, None for a kept photo; came: the picture's `Fingerprint`.

        Raises `ServiceError` after SILENT photos without a picture of their own, unless a kept photo still comes.
        """
        asked = came or isinstance(trouble, (Refused, Unreachable))
        if trouble:
            self._catalogue.leave_out(self._label, photo, str(trouble), final=not asked)
        if not asked:
            return
        alike = came and self._came and curation.twin(came, {photo.id: self._came})
        if (came or self._came) and not alike:
            self.settle()
        self._came = came
        self._row.append((photo, trouble))
        if sum(map(self._counts, self._row)) < SILENT:
            return
        if not self._network_works():
            for one, its_trouble in self._row:
                if not its_trouble:
                    self._catalogue.take_back(self._label, one, "came for other photos, too")
            what = "did not arrive" if came is None else "came as one and the same picture"
            raise ServiceError(f"{SILENT} photos in a row {what}; the last: {trouble}. {AGAIN}")
        self.settle()

    def settle(self):
        """What waits in the row was refused for good."""
        for photo, trouble in self._row:
            if isinstance(trouble, LeftOut):
                self._catalogue.leave_out(self._label, photo, str(trouble))
        self._row = []

    def finish(self):
        """The search has ended: pictures that came were judged by what they show; the rest is asked for again."""
        if self._came:
            self.settle()

    def _counts(self, decision):
        photo, trouble = decision
        return photo.id not in self._refused_before or isinstance(trouble, Unreachable)

    def _network_works(self):
        """Whether one of the last photos that were kept before still comes; after mere silence nobody asks."""
        row = {photo.id for photo, _ in self._row}
        kept = [(sha256, url) for _, sha256, _, photo, url in self._catalogue.records() if photo.id not in row]
        if not kept or any(isinstance(trouble, Unreachable) for _, trouble in self._row):
            return False
        return any(self._comes(*one) for one in kept[: -1 - FORMER : -1])

    def _comes(self, sha256, url):
        try:
            return hashlib.sha256(self._client.download(url)).hexdigest() == sha256
        except (LeftOut, Unreachable):
            return False
