"""Who made a version, and taking back a node's part in all of them."""

from __future__ import annotations

import builtins

from sqlalchemy.orm import Session

from flwr_registry.records import Contributor, ModelVersion, Withdrawal, WithdrawnNode
from flwr_registry.registry.awaited_registry import AwaitedRegistry
from flwr_registry.registry.blocking_registry import BlockingRegistry
from flwr_registry.registry.lineage.contributing import (
    affected_rows,
    contributors_of,
    known_node,
)
from flwr_registry.registry.promotion.withdrawing import (
    list_withdrawals,
    plan_withdrawal,
    withdraw,
)
from flwr_registry.registry.rows.json_values import plain_text
from flwr_registry.registry.rows.row_records import version_record
from flwr_registry.registry.steps import Steps, read, write
from flwr_registry.registry.versions.actors import current_actor
from flwr_registry.registry.versions.node_names import NodeNames
from flwr_registry.registry.versions.references import parse_reference

__all__ = ["AsyncContributorVerbs", "ContributorVerbs"]


class ContributorVerbs(BlockingRegistry):
    """The verbs that follow nodes through versions: traceability, not unlearning."""

    def contributors(self, reference: str) -> builtins.list[Contributor]:
        """List all nodes that gave to a version or to any version it comes from.

        Those with most examples come first.
        """
        return self._run(_contributors(reference))

    def affected_by(self, node_id: str | int) -> builtins.list[ModelVersion]:
        """List the versions that a node trained and all that came of them.

        Over all branches and models, oldest first.

        Raises
        ------
        NodeNotFoundError
            When it never took part.
        """
        return self._run(_affected(self.node_names, node_id))

    def withdraw(
        self,
        node_id: str | int,
        *,
        reason: str = "",
        actor: str | None = None,
        dry_run: bool = False,
    ) -> Withdrawal:
        """Mark every version that a node had a part in, now and later.

        They can no longer be promoted or served, and leave production. Weights keep
        what they learned: a model without the node has to be trained anew, from the
        points that the result names.

        Parameters
        ----------
        dry_run : bool
            Only tell what would be done.

        Raises
        ------
        NodeNotFoundError
            When it never took part.
        """
        return self._run(_withdrawn(self.node_names, node_id, reason, actor, dry_run))

    def withdrawals(self) -> builtins.list[WithdrawnNode]:
        """List the nodes that were withdrawn, the last one first."""
        return self._run(read(list_withdrawals))


class AsyncContributorVerbs(AwaitedRegistry):
    """The verbs of `ContributorVerbs`, awaited."""

    async def contributors(self, reference: str) -> builtins.list[Contributor]:
        """List all nodes that gave; see `ModelRegistry.contributors`."""
        return await self._run(_contributors(reference))

    async def affected_by(self, node_id: str | int) -> builtins.list[ModelVersion]:
        """List what a node had a part in; see `ModelRegistry.affected_by`."""
        return await self._run(_affected(self.node_names, node_id))

    async def withdraw(
        self,
        node_id: str | int,
        *,
        reason: str = "",
        actor: str | None = None,
        dry_run: bool = False,
    ) -> Withdrawal:
        """Mark what a node had a part in; see `ModelRegistry.withdraw`."""
        return await self._run(
            _withdrawn(self.node_names, node_id, reason, actor, dry_run)
        )

    async def withdrawals(self) -> builtins.list[WithdrawnNode]:
        """List withdrawn nodes; see `ModelRegistry.withdrawals`."""
        return await self._run(read(list_withdrawals))


def _contributors(reference: str) -> Steps[builtins.list[Contributor]]:
    wanted = parse_reference(reference)
    return read(lambda session: contributors_of(session, wanted))


def _affected(
    names: NodeNames, node_id: str | int
) -> Steps[builtins.list[ModelVersion]]:
    def found(session: Session) -> builtins.list[ModelVersion]:
        node = known_node(session, _forms(names, node_id))
        return [version_record(row) for row in affected_rows(session, node)]

    return read(found)


def _withdrawn(
    names: NodeNames,
    node_id: str | int,
    reason: str,
    actor: str | None,
    dry_run: bool,
) -> Steps[Withdrawal]:
    forms, who = _forms(names, node_id), current_actor(actor)
    if dry_run:
        return read(lambda session: plan_withdrawal(session, forms, reason, who))
    return write(lambda session: withdraw(session, forms, reason, who))


def _forms(names: NodeNames, node_id: str | int) -> tuple[str, ...]:
    """Return the pseudonym of a node, and its id, under which it was before a key."""
    forms = (names.name_of(node_id), str(node_id))
    # As they are written down.
    return tuple(dict.fromkeys(map(plain_text, forms)))
