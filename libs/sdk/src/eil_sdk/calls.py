"""What turns a function that builds a request into a method of both clients: typed for each, written once.

    @unary(lambda to: to.regime.Sense)
    def sense(self, source: str, …) -> SenseRequest: …

is `eil.sense(source, …) -> SenseResponse` of EIL, and answers an awaitable of it of AsyncEIL. The lambda names the method of the contract.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

import grpc

from eil_sdk.services import Services

if TYPE_CHECKING:
    from eil_sdk.client import EIL, AsyncEIL

P = ParamSpec("P")
Q = TypeVar("Q")
R = TypeVar("R")
T = TypeVar("T")


class Unary(Generic[P, R]):
    """A method that answers once; for type checkers, as at run time it is a function."""

    @overload
    def __get__(self, client: EIL, owner: Any = None) -> Callable[P, R]: ...
    @overload
    def __get__(self, client: AsyncEIL, owner: Any = None) -> Callable[P, Awaitable[R]]: ...
    @overload
    def __get__(self, client: None, owner: Any = None) -> Unary[P, R]: ...
    def __get__(self, client: Any, owner: Any = None) -> Any: ...


class Many(Generic[P, R]):
    """A method that answers one after the other; for type checkers."""

    @overload
    def __get__(self, client: EIL, owner: Any = None) -> Callable[P, Iterator[R]]: ...
    @overload
    def __get__(self, client: AsyncEIL, owner: Any = None) -> Callable[P, AsyncIterator[R]]: ...
    @overload
    def __get__(self, client: None, owner: Any = None) -> Many[P, R]: ...
    def __get__(self, client: Any, owner: Any = None) -> Any: ...


@overload
def unary(
    method: Callable[[Services], grpc.UnaryUnaryMultiCallable[Q, R]],
) -> Callable[[Callable[Concatenate[Any, P], Q]], Unary[P, R]]: ...
@overload
def unary(
    method: Callable[[Services], grpc.UnaryUnaryMultiCallable[Q, R]], take: Callable[[R], T]
) -> Callable[[Callable[Concatenate[Any, P], Q]], Unary[P, T]]: ...
def unary(method: Any, take: Callable[[Any], Any] = lambda answer: answer) -> Any:
    """A call with one answer, or with what `take` takes of it."""
    return _method(lambda client, request: client._unary(method, request, take))


def paged(
    method: Callable[[Services], grpc.UnaryUnaryMultiCallable[Q, R]], items: Callable[[R], Iterable[T]]
) -> Callable[[Callable[Concatenate[Any, P], Q]], Many[P, T]]:
    """The `items` of page after page, each fetched when it is come to."""
    return _method(lambda client, request: client._paged(method, request, items))


def streamed(
    method: Callable[[Services], grpc.UnaryStreamMultiCallable[Q, R]],
) -> Callable[[Callable[Concatenate[Any, P], Q]], Many[P, R]]:
    """The answers of a stream, as they come."""
    return _method(lambda client, request: client._streamed(method, request))


def _method(send: Callable[[Any, Any], Any]) -> Any:
    def decorate(build: Callable[..., Any]) -> Any:
        @functools.wraps(build)
        def method(client: Any, *args: Any, **kwargs: Any) -> Any:
            return send(client, build(client, *args, **kwargs))

        # What it answers depends on the client, and is not what `build` does.
        cast(Any, method).__signature__ = inspect.signature(build).replace(return_annotation=inspect.Signature.empty)
        return method

    return decorate
