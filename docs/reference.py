"""How the reference is made of the docstrings: ``python -m pydoctor``, set up in pyproject.toml."""

from __future__ import annotations

from pydoctor import extensions, model


class System(model.System):
    """What pydoctor has, without its part for zope's interfaces: ours are made of protocols."""

    extensions = [
        each for each in extensions.get_extensions() if not each.endswith("zopeinterface")
    ]
