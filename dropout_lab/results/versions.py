"""Compare the versions that trained a study's runs."""

from collections.abc import Collection

from dropout_lab.printable import counted
from dropout_lab.results.manifest import Manifest, Session

Versions = tuple[tuple[str, str], ...]
_PACKAGES = ("torch", "numpy")  # beside dropout-lab's own version; these make the numbers
_BLAME = "Differences between runs of different versions can come from the versions."


def versions_of(session: Session) -> Versions:
    """Return the versions of a session that affect numbers."""
    found = [
        ("dropout-lab", session.dropout_lab),
        *((n, session.packages.get(n)) for n in _PACKAGES),
    ]
    return tuple((name, str(version)) for name, version in found if version)


def version_mix(manifest: Manifest, run_ids: Collection[str] | None = None) -> str:
    """Describe runs of a study with different versions; empty if all have the same.

    Args:
        manifest: That of the study.
        run_ids: The runs that count, such as the completed ones; by default all.
    """
    sessions = [versions_of(session) for session in manifest.sessions]
    counts: dict[tuple[Versions, ...], int] = {}
    unknown = 0
    for run_id, entry in manifest.runs.items():
        if run_ids is None or run_id in run_ids:
            own = tuple(dict.fromkeys(sessions[i] for i in entry.sessions))
            unknown += not own
            counts[own] = counts.get(own, 0) + bool(own)
    known = {versions: count for versions, count in counts.items() if count}
    used = dict.fromkeys([v for each in known for v in each] + (sessions if unknown else []))
    differing = _differing(list(used))
    if not differing:
        return ""
    parts = []
    for each, count in known.items():
        shown = [_in_words(versions, differing) for versions in each]
        parts.append(f"{counted(count, 'run')} with {', then '.join(shown)}")
    if unknown:
        every = " or ".join(_in_words(versions, differing) for versions in dict.fromkeys(sessions))
        parts.append(f"{counted(unknown, 'run')} with {every}, which was not recorded")
    return f"Not all runs were trained with the same versions: {'; '.join(parts)}. {_BLAME}"


def newer_session(manifest: Manifest) -> str:
    """Describe how the last session's versions differ from earlier ones; empty if they do not.

    Empty if it has not, or if nothing was trained before.
    """
    if not manifest.sessions:
        return ""
    *before, now = [versions_of(session) for session in manifest.sessions]
    used: set[int] = set()
    for entry in manifest.runs.values():  # an older version did not record it: any may be
        used.update(entry.sessions or range(len(before)))
    then = [versions for i, versions in enumerate(before) if i in used and versions != now]
    differing = _differing([*then, now])
    if not differing:
        return ""
    return (
        f"This study was begun with {_in_words(then[0], differing)}; you run "
        f"{_in_words(now, differing)}. {_BLAME} "
        "To compare runs of one version only, train into another folder with --out."
    )


def _differing(every: Collection[Versions]) -> list[str]:
    """Return the packages with several versions."""
    found: dict[str, set[str]] = {}
    for versions in every:
        for name, version in versions:
            found.setdefault(name, set()).add(version)
    return [name for name, each in found.items() if len(each) > 1]


def _in_words(versions: Versions, names: Collection[str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions if name in names)
