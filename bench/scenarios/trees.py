"""Whole folders: many small files, and real ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from bench import peers
from bench.clients import curl_parallel, ft, rsync, rsync_ssh, scp
from bench.place import Place, same_tree
from bench.processes import Failed
from bench.race import Race, say
from bench.report import Report
from bench.settings import KIB, MIB, Settings
from bench.targets import Target, seconds, throughput

_PACKAGES = ("numpy", "scipy", "pandas", "sympy", "django")
_PACKAGES_OF_A_TRIAL = ("numpy",)
_SETTLE = 0.2
"""Seconds before each turn."""


def _made(place: Place) -> tuple[Path, str]:
    """The tree of small files, and what it is, in a few words."""
    files = place.settings.tree_files
    place.room(files * 32 * KIB)  # the tree, copies of it, and logs
    tree = place.tree(files)
    return tree, f"{files:,} files of 1 KiB, {-(-files // 100):,} folders"


def get(settings: Settings) -> Report:
    """Download."""
    with Place(settings, settings.folder) as place:
        tree, what = _made(place)
        race = Race(place, _SETTLE)
        add = partial(race.add, check=partial(same_tree, tree, place.downloads / "tree"))
        ours = add(
            "`ft get -r`", lambda: ft(settings, place.server(peers.FT), "get", "-r", "@tree", "out")
        )
        rival = partial(add, against=ours)
        rival(
            "rsync -a from its daemon",
            lambda: rsync(place.server(peers.RSYNCD), "-a", "@tree", "out/"),
            target=throughput(1.0),
        )
        rival(
            "rsync -a over ssh",
            lambda: rsync_ssh(place.server(peers.SSHD), "-a", f"@{tree}", "out/"),
        )
        rival("scp -r", lambda: scp(place.server(peers.SSHD), "-r", f"@{tree}", "out/"))
        rival(
            "curl --parallel from nginx",
            lambda: curl_parallel(place.server(peers.NGINX), tree, place.folder / "list"),
        )
        race.run(settings.turns)
        return Report(f"{what}, downloaded, in {settings.folder}.", race)


def put(settings: Settings) -> Report:
    """Upload."""
    with Place(settings, settings.folder) as place:
        tree, what = _made(place)
        source, race = str(tree), Race(place, _SETTLE)
        add = partial(race.add, check=partial(same_tree, tree, place.uploads / "tree"))
        ours = add(
            "`ft put -r`", lambda: ft(settings, place.server(peers.FT), "put", "-r", source, "@in/")
        )
        rival = partial(add, against=ours)
        rival(
            "rsync -a to its daemon",
            lambda: rsync(place.server(peers.RSYNCD), "-a", source, "@in/"),
            target=throughput(1.0),
        )
        rival(
            "rsync -a over ssh",
            lambda: rsync_ssh(place.server(peers.SSHD), "-a", source, f"@{place.uploads}/"),
        )
        rival("scp -r", lambda: scp(place.server(peers.SSHD), "-r", source, f"@{place.uploads}/"))
        race.run(settings.turns)
        return Report(f"{what}, uploaded, in {settings.folder}.", race)


def again(settings: Settings) -> Report:
    """Both directions, where all is there already: from the warm-up, which is the first run."""
    with Place(settings, settings.folder) as place:
        tree, what = _made(place)
        race = Race(place, _SETTLE)
        place.empty()
        for name in ("ft", "rsync"):
            (place.downloads / name).mkdir()
            (place.uploads / name).mkdir()
        _both_ways(race, tree, "ft", "rsync", throughput(1.0), keep=True)
        race.run(settings.turns)
        return Report(f"{what}, where all is there already, in {settings.folder}.", race)


def disk(settings: Settings) -> Report:
    """Both directions on a real disk, where ``ft`` says done only when all is synced."""
    with Place(settings, settings.disk) as place:
        tree, what = _made(place)
        place.room(4 * (settings.turns + 1) * settings.tree_files * 8 * KIB)
        race = Race(place, _SETTLE)
        _both_ways(race, tree, "", "", seconds(1.3), synced=True)
        race.run(settings.turns)
        return Report(
            f"{what}, on a disk, where `ft` says done when all is synced, and rsync sooner; the "
            "disk is idle before each turn, and nothing is removed before the end.",
            race,
        )


def real(settings: Settings) -> Report:
    """Both directions, of a virtual environment with large packages."""
    packages = _PACKAGES_OF_A_TRIAL if settings.small else _PACKAGES
    kept = _environment(settings.data, packages)
    with Place(settings, settings.folder) as place:
        place.room(2 * _disk_usage(kept))
        tree = place.copy_of(kept)
        files = [path for path in tree.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        race = Race(place, memory=size)
        _both_ways(race, tree, "", "", throughput(1.0))
        race.run(settings.turns)
        return Report(
            f"A virtual environment with {', '.join(packages)}: {len(files):,} files, "
            f"{size // MIB} MiB, in {settings.folder}.",
            race,
        )


def _both_ways(
    race: Race,
    tree: Path,
    ours: str,
    theirs: str,
    target: Target,
    keep: bool = False,
    synced: bool = False,
) -> None:
    """Rows for ``ft`` and for rsync with its daemon, down and up.

    :param ours: the folder below that of downloads, or of uploads, that is ours
    :param theirs: the same for rsync
    :param keep: whether what has arrived stays for the next turn
    :param synced: whether the disk is to be idle before each turn, and nothing is removed
    """
    place, settings = race.place, race.place.settings

    def prepare() -> None:
        if synced:
            place.set_aside()
            os.sync()
        elif not keep:
            place.empty()

    add = partial(race.add, prepare=prepare)
    got = add(
        "`ft get -r`",
        lambda: ft(settings, place.server(peers.FT), "get", "-r", "@tree", f"out/{ours}"),
        check=partial(same_tree, tree, place.downloads / ours / "tree"),
    )
    add(
        "rsync -a from its daemon",
        lambda: rsync(place.server(peers.RSYNCD), "-a", "@tree", f"out/{theirs}"),
        check=partial(same_tree, tree, place.downloads / theirs / "tree"),
        against=got,
        target=target,
    )
    sent = add(
        "`ft put -r`",
        lambda: ft(settings, place.server(peers.FT), "put", "-r", str(tree), f"@in/{ours}/"),
        check=partial(same_tree, tree, place.uploads / ours / "tree"),
    )
    add(
        "rsync -a to its daemon",
        lambda: rsync(place.server(peers.RSYNCD), "-a", str(tree), f"@in/{theirs}/"),
        check=partial(same_tree, tree, place.uploads / theirs / "tree"),
        against=sent,
        target=target,
    )


def _disk_usage(tree: Path) -> int:
    return sum(path.lstat().st_blocks for path in tree.rglob("*")) * 512


def _environment(data: Path, packages: tuple[str, ...]) -> Path:
    """A virtual environment with ``packages``, made once."""
    kept = data / "-".join(["environment", *packages])
    if kept.is_dir():
        return kept
    making = kept.with_name(f"{kept.name}.new")
    shutil.rmtree(making, ignore_errors=True)
    data.mkdir(parents=True, exist_ok=True)
    say(f"making an environment with {', '.join(packages)}, which is kept in {data}")
    try:
        subprocess.run([sys.executable, "-m", "venv", str(making)], check=True)
        pip = [str(making / "bin" / "python"), "-m", "pip", "install", "-q"]
        subprocess.run([*pip, *packages], check=True, stdout=sys.stderr)
    except subprocess.CalledProcessError as error:
        raise Failed(f"the environment could not be made: {error}") from None
    making.rename(kept)
    return kept
