"""Load data sets, and check that they are those the study began with."""

from collections.abc import Callable

import torch

from dropout_lab import data
from dropout_lab.config.grid import section_data
from dropout_lab.config.sections.dataset import DatasetSettings
from dropout_lab.data import Splits
from dropout_lab.errors import DataError
from dropout_lab.folder.study_folder import StudyFolder
from dropout_lab.results import Manifest, digest
from dropout_lab.study.spec import Study


class Source:
    """Loads data sets and caches the last one, which neighbouring fleets mostly share.

    Args:
        study: Whose data, and from where.
        device: Where they are to lie.
        say: Takes a line for the user, such as that of a download.
    """

    def __init__(self, study: Study, device: torch.device, say: Callable[[str], None]) -> None:
        self.study, self.device, self.say = study, device, say
        self.last: tuple[DatasetSettings, Splits] | None = None

    def splits(self, settings: DatasetSettings, folder: StudyFolder | None = None) -> Splits:
        """Return a data set; raise an error if the study in the folder began with other data.

        Raises:
            DataError: They are not, are absent, or damaged.
        """
        if self.last is None or self.last[0] != settings:
            self.last = None  # let go of the old before the new is read
            loaded = data.load(data_dir=self.study.data_dir, say=self.say, **settings.model_dump())
            self.last = (settings, loaded.to(self.device))
        splits = self.last[1]
        if folder is not None and folder.manifest is not None:
            self._compare(settings, splits, folder, folder.manifest)
        return splits

    def _compare(
        self,
        settings: DatasetSettings,
        splits: Splits,
        folder: StudyFolder,
        manifest: Manifest,
    ) -> None:
        digests = manifest.data_digests
        key = digest(section_data("dataset", settings))[:12]
        if key not in digests:
            digests[key] = splits.digest
            folder.write_manifest(manifest)
        if digests[key] != splits.digest:
            raise DataError(
                f"the data set {settings.name} is not the one this study began with: its digest "
                f"is {splits.digest[:12]}, then it was {digests[key][:12]}. Restore the data, or "
                "give another folder with --out."
            )
