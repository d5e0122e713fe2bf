"""Formulas of mint policies: arithmetic on whole numbers, written as text, so that what is published is what is computed."""

import ast
from collections.abc import Callable, Mapping
from typing import Final

_BINARY: Final[Mapping[type[ast.operator], Callable[[int, int], int]]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: lambda a, b: a // b,
}
_CALLS: Final[Mapping[str, Callable[..., int]]] = {"min": min, "max": max}


def evaluate(formula: str, names: Mapping[str, int]) -> int:
    """Value of a formula of integers, names, + - * // ( ) min max. There is no division but into whole numbers, rounded down.

    Raises ValueError: the formula holds anything else, or a name without a value.
    """
    return _value(ast.parse(formula, mode="eval").body, names)


def names_in(formula: str) -> frozenset[str]:
    """The names that a formula needs values for."""
    return (
        frozenset(node.id for node in ast.walk(ast.parse(formula, mode="eval")) if isinstance(node, ast.Name))
        - _CALLS.keys()
    )


def _value(node: ast.expr, names: Mapping[str, int]) -> int:
    match node:
        case ast.Constant(value=int(number)):
            return number
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_value(left, names), _value(right, names))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _CALLS and args:
            return _CALLS[name](*[_value(argument, names) for argument in args])
        case _:
            raise ValueError(
                f"{ast.unparse(node)!r} is no part of a formula: use whole numbers, known names, + - * // min max"
            )
