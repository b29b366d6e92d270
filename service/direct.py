"""Routes that call their handler directly: what `make bench` measures most of all.

FastAPI solves dependencies anew for every request and walks nested routers for every match, which
costs more than a read of the database. The doors' handlers want six things, all known beforehand;
they are asked for in the order of the handler's signature, so that nobody's body is read before we
know who they are. Any other handler runs as FastAPI runs it. OpenAPI is the same either way.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Executor
from contextvars import copy_context
from functools import partial
from typing import Annotated, Any, get_args, get_origin

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.params import Depends
from fastapi.routing import APIRoute, iter_route_contexts

from service import web

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Supply = Callable[[Request], Awaitable[object]]


async def _itself(request: Request) -> Request:
    return request


async def _from_path(request: Request, *, name: str) -> str:
    found: str = request.path_params[name]
    return found


KNOWN: dict[object, Supply] = {
    each: each for each in (web.gate, web.presented, web.body, web.purpose)
}  # fmt: skip


class Direct(APIRoute):
    """One thread hop for a plain handler, on the application's own threads."""

    def get_route_handler(self) -> Handler:
        supplies = list(self._supplies())
        if None in [supply for _, supply in supplies] or inspect.iscoroutinefunction(self.endpoint):
            return super().get_route_handler()
        wanted = [(name, supply) for name, supply in supplies if supply]
        endpoint = self.endpoint

        async def handle(request: Request) -> Response:
            values = {name: await supply(request) for name, supply in wanted}
            threads: Executor = request.app.state.threads
            work = partial(copy_context().run, endpoint, **values)
            answer: Response = await asyncio.get_running_loop().run_in_executor(threads, work)
            return answer

        return handle

    def _supplies(self) -> Iterator[tuple[str, Supply | None]]:
        """How each of the handler's parameters is come by; None if only FastAPI knows."""
        for name, parameter in inspect.signature(self.endpoint).parameters.items():
            kind = parameter.annotation
            if kind is Request:
                yield name, _itself
            elif name in self.param_convertors and kind is str:
                yield name, partial(_from_path, name=name)
            elif get_origin(kind) is Annotated and isinstance(need := get_args(kind)[1], Depends):
                yield name, KNOWN.get(need.dependency)
            else:
                yield name, None


def lay(app: FastAPI, *doors: tuple[APIRouter, str]) -> None:
    """Put the routes of all doors, however they are nested, side by side into the application."""
    plan = APIRouter()
    for door, prefix in doors:
        plan.include_router(door, prefix=prefix)
    for route in iter_route_contexts(plan.routes):
        assert route.path is not None and route.endpoint is not None  # noqa: S101, PT018 (routes)
        app.router.add_api_route(
            route.path, route.endpoint, methods=route.methods, name=route.name,
            tags=route.tags, responses=route.responses, response_class=route.response_class,
            status_code=route.status_code, summary=route.summary, description=route.description,
            include_in_schema=route.include_in_schema, openapi_extra=route.openapi_extra,
            route_class_override=Direct,
        )  # fmt: skip
