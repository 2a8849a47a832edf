"""`python -m tests.borders` writes docs/borders.md; with `--guards [WORD ...]` it switches guards off, all or those of files
with one of the words in their path, and tells which tests did not notice.
"""

from __future__ import annotations

import sys
from collections import Counter
from subprocess import CalledProcessError

from tests.borders.guards import GUARDS
from tests.borders.page import PAGE, page
from tests.borders.trial import Verdict, tried


def switch_off(words: list[str]) -> int:
    guards = [each for each in GUARDS if not words or any(word in each.file for word in words)]
    count: Counter[Verdict] = Counter()
    try:
        for guard, verdict in tried(guards):
            count[verdict] += 1
            print(f"{verdict:20} {guard.file}: {guard.name} -> {guard.test}", flush=True)
    except CalledProcessError as error:
        print("With all guards on these fail:", error.stdout, sep="\n")
    print(f"{len(guards)} guards:", ", ".join(f"{count[each]} {each}" for each in Verdict))
    return 0 if count[Verdict.FAILED] == len(guards) else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--guards"]:
        sys.exit(switch_off(sys.argv[2:]))
    PAGE.write_text(page(), "utf-8")
