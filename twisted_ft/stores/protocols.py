"""What a protocol says to type checkers, said at run time as an interface of zope's."""

from __future__ import annotations

from inspect import isfunction

from zope.interface import Attribute, Interface
from zope.interface.interface import InterfaceClass, fromFunction

_made: dict[type, InterfaceClass] = {}


def interface_of(protocol: type) -> InterfaceClass:
    """The interface that has a protocol's methods and properties, and its name after an I."""
    bases = tuple(_made[base] for base in protocol.__bases__ if base in _made)
    members = {
        name: fromFunction(member, imlevel=1) if isfunction(member) else Attribute(member.__doc__)
        for name, member in vars(protocol).items()
        if not name.startswith("_")
    }
    name = f"I{protocol.__name__}"
    made = InterfaceClass(
        name, bases or (Interface,), members, protocol.__doc__, protocol.__module__
    )
    _made[protocol] = made
    return made
