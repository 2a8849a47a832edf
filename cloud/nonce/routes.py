"""Which path leads where."""

from __future__ import annotations

from aiohttp import web

from cloud.nonce import batches, miners, sites, tasks
from contract.nonce import FARM, WORKSPACE


def add_routes(app: web.Application) -> None:
    """Put the operator's API into an application that has the keys of `cloud.context`."""
    batch = FARM + "/tasks/batches/{batch_id}"
    app.router.add_routes(
        [
            web.get(WORKSPACE + "/farms", sites.list_farms, allow_head=False),
            web.get(WORKSPACE + "/agents", sites.list_agents, allow_head=False),
            web.post(WORKSPACE + "/agents/search", sites.search_agents),
            web.get(FARM + "/miner/latest", miners.list_miners, allow_head=False),
            web.post(FARM + "/miner/search", miners.search_miners),
            web.get(FARM + "/miners/{miner_id}/tasks", tasks.list_miner_tasks, allow_head=False),
            web.post(FARM + "/tasks/batches", batches.create_batch),
            web.get(FARM + "/tasks/batches", batches.list_batches, allow_head=False),
            web.post(FARM + "/tasks/search", batches.search_batches),
            web.get(batch, batches.get_batch, allow_head=False),
            web.get(batch + "/tasks", tasks.list_batch_tasks, allow_head=False),
            web.post(batch + "/cancel", batches.cancel_batch),
            web.post(batch + "/retry", batches.retry_batch),
        ]
    )
