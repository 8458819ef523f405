"""Finding versions by an expression."""

from __future__ import annotations

from flwr_registry.records import Page
from flwr_registry.registry.awaited_registry import AwaitedRegistry
from flwr_registry.registry.blocking_registry import BlockingRegistry
from flwr_registry.registry.search.searching import Search
from flwr_registry.registry.steps import Steps, read
from flwr_registry.registry.versions.node_names import NodeNames

__all__ = ["AsyncSearchVerbs", "SearchVerbs"]


class SearchVerbs(BlockingRegistry):
    """The verbs that search."""

    def search(
        self,
        expression: str = "",
        *,
        model: str | None = None,
        order_by: str = "created desc",
        page_size: int = 100,
        page_token: str | None = None,
    ) -> Page:
        """Find versions, a page at a time.

        Parameters
        ----------
        expression : str
            Such as ``metrics.accuracy > 0.9 and tags.site = 'x'``: comparisons that
            ``and``, ``or``, ``not`` and parentheses join. Operators are ``=``, ``!=``,
            ``<``, ``<=``, ``>``, ``>=``, ``in (...)``, ``like`` and ``ilike`` (which
            takes A for a). Fields are ``model``, ``version``, ``status``, ``run``,
            ``node``, ``round``, ``created`` (a time, or ``7d`` for seven days ago),
            ``size`` in bytes, ``epsilon``, ``num_clients``, ``description``,
            ``created_by``, ``architecture``, ``framework``, ``parent``, the truth
            values ``production``, ``pinned`` and ``withdrawn``, ``tags.KEY``,
            ``metrics.NAME`` of the most trusted source that has it, or
            ``evaluate_serverapp.NAME`` and the like of one source; odd names stand in
            double quotes: ``metrics."top-5 accuracy"``. A version that lacks a value
            matches no comparison with it. An empty expression finds everything.
        model : str, optional
            Only versions of this model.
        order_by : str
            ``created``, ``version``, a field or metric that is a number; ``asc`` or
            ``desc`` may follow. Versions without the value come last, ties in the order
            of registration.
        page_size : int
            At most so many versions.
        page_token : str, optional
            `Page.next_page_token` of the same search.

        Raises
        ------
        SearchError
            Showing the place in the expression, and what was expected there; also for a
            metric or tag that no version has.
        ModelNotFoundError
            When there is no such model.
        """
        return self._run(
            _searched(self._nodes, expression, model, order_by, page_size, page_token)
        )


class AsyncSearchVerbs(AwaitedRegistry):
    """The verbs of `SearchVerbs`, awaited."""

    async def search(
        self,
        expression: str = "",
        *,
        model: str | None = None,
        order_by: str = "created desc",
        page_size: int = 100,
        page_token: str | None = None,
    ) -> Page:
        """Find versions, a page at a time; see `ModelRegistry.search`."""
        return await self._run(
            _searched(self._nodes, expression, model, order_by, page_size, page_token)
        )


def _searched(
    nodes: NodeNames,
    expression: str,
    model: str | None,
    order_by: str,
    page_size: int,
    page_token: str | None,
) -> Steps[Page]:
    search = Search.checked(
        expression,
        model=model,
        order_by=order_by,
        page_size=page_size,
        page_token=page_token,
    )
    return read(lambda session: search.page(session, nodes.name_of))
