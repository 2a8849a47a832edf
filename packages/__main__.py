"""`python -m packages deb|bundle`: packages and bundles in a folder, for the platforms that are named."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from agent.cli.app import app as agent_app
from agent.cli.installing import manuals
from cloud.cli.commands import app as cloud_app
from packages import bundle, deb, wheels
from packages.platforms import PLATFORMS
from service.install.pages import HelpPage, of_app, of_parser
from service.install.product import AGENT, CLOUD, Product
from simulator.cli import parser as simulator_parser


def main() -> None:
    """Prints the path of each file that it made. Whatever fails ends it with the error."""
    args = _parser().parse_args()
    if args.what == "bundle" and (doubt := bundle.doubt(wheels.ROOT)):
        sys.stderr.write(f"warning: {doubt}\n")
    platforms = [PLATFORMS[each] for each in args.platform or PLATFORMS]
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        ours = wheels.our_wheel(work / "ours")
        for platform in platforms:
            held = wheels.fetch(platform, args.wheels)
            if args.what == "bundle":
                made = [
                    bundle.build(
                        platform, held=held, ours=ours, work=work / platform.name, out=args.out
                    )
                ]
            else:
                made = [
                    deb.build(
                        product,
                        platform,
                        _pages(product),
                        held=held,
                        ours=ours,
                        work=work / platform.name / product.name,
                        out=args.out,
                        compress=("-Zgzip", "-z1") if args.quick else deb.SMALL,
                    )
                    for product in (AGENT, CLOUD)
                    if args.product in (None, product.name)
                ]
            for each in made:
                sys.stdout.write(f"{each}\n")


def _pages(product: Product) -> dict[str, tuple[HelpPage, ...]]:
    if product is CLOUD:
        return {CLOUD.name: of_app(cloud_app, CLOUD.name)}
    return {**manuals(agent_app), "miner-simulator": of_parser(simulator_parser())}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m packages", description=__doc__)
    parser.add_argument("what", choices=("deb", "bundle"))
    parser.add_argument(
        "--product", choices=(AGENT.name, CLOUD.name), help="both, where none is named"
    )
    parser.add_argument(
        "--platform", action="append", choices=PLATFORMS, help="all, where none is named"
    )
    parser.add_argument(
        "--wheels", type=Path, default=Path("build/wheels"), help="where wheels are kept"
    )
    parser.add_argument("--out", type=Path, default=Path("dist"), help="where they are put")
    parser.add_argument(
        "--quick", action="store_true", help="packages that are larger, and made sooner"
    )
    return parser


if __name__ == "__main__":
    main()
