"""Runs what the pages of the book show, in the order in which they show it.

    run.py PAGE...    (by tests/book/run.sh, which sets the stage)

Each page has a stage of its own: a database, a simulated Qlik Cloud and, unless it says
`<!-- book: stage empty -->`, a daemon with two ready tenants. A block of `sh`, `sql`, `js` or `python` is
run, and must end with 0; one of the last two is an example of a web app, which must sign a user in or open a
secret. A block of `text` right behind one shows lines that it must have said, in this order, where `…` stands
for anything. What a page says of a block stands in a comment before it:

    <!-- book: not run: WHY -->     it cannot be run here
    <!-- book: as pipeline -->      SQL with the rights of tenantd_pipeline (or another role)
    <!-- book: exit 2 -->           it ends with this exit code
    <!-- book: file NAME -->        its text becomes this file, whatever its language
    <!-- book: run                  what the reader has done elsewhere: run, and not shown
    ... -->

The rule: nothing is passed by in silence. What is not run is counted and named at the end.
"""

import os
import pathlib
import re
import shlex
import socket
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).parent
REPOSITORY = HERE.parent.parent
APPS = ("js", "python")
RUN = ("sh", "sql", *APPS)
WORK = pathlib.Path(os.environ["BOOK_WORK"])
FENCE = re.compile(
    r"<!-- book: (?P<note>.*?)-->|^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$", re.M | re.S
)


class Block:
    def __init__(self, language, text, notes, line, hidden=False):
        self.language, self.text, self.notes, self.line, self.hidden = language, text, notes, line, hidden
        self.shows = None

    def note(self, name):
        return next((note[len(name):].strip() for note in self.notes if note.startswith(name)), None)


def blocks_of(page):
    """The blocks of a page, each with the notes before it; `stage` is the page's own note."""
    blocks, notes, stage, end = [], [], "fleet", None
    for found in FENCE.finditer(page):
        line = page.count("\n", 0, found.start()) + 1
        note = found["note"]
        if note is not None:
            if note.startswith("stage "):
                stage = note.removeprefix("stage ").strip()
            elif note.startswith("run\n"):
                blocks.append(Block("sh", textwrap.dedent(note.removeprefix("run\n")), [], line, hidden=True))
            else:
                notes.append(note.strip())
            continue
        text = textwrap.dedent(found["text"])
        block = Block(found["language"], text, notes, line)
        is_behind = end is not None and not page[end:found.start()].strip()
        if found["language"] == "text" and is_behind and not notes and blocks:
            blocks[-1].shows = text
        elif found["language"] in RUN or block.note("file") is not None:
            blocks.append(block)
        elif notes:
            raise SystemExit(f"line {line}: a note before a block that is not run anyway: {notes}")
        notes, end = [], found.end()
    return stage, blocks


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def script_of(blocks, here, places):
    """The page as one script, so that what a block sets the next one has. Each block's words go to a file."""
    lines = ['. "$BOOK_HERE/stage_of_a_page.sh"']
    for number, block in enumerate(blocks):
        text = block.text
        for shown, real in places.items():
            text = text.replace(shown, real)
        lines.append(f"block={block.line}; at={here}/said.{number}")
        if (name := block.note("file")) is not None:
            for shown, real in places.items():
                name = name.replace(shown, real)
            (here / f"file.{number}").write_text(text)
            lines.append(f"put {here}/file.{number} {shlex.quote(name)}")
            continue
        if block.note("not run:") is not None:
            continue
        if block.language == "sql":
            role = block.note("as")
            text = f"run_sql {role or 'owner'} <<'END_OF_SQL'\n{text}END_OF_SQL\n"
        if block.language in APPS:
            (here / f"file.{number}").write_text(text)
            text = f"an_app {block.language} {here}/file.{number}\n"
        if (code := block.note("exit")) is not None:
            lines.append(f"set +e\n{{\n{text}}} >\"$at\" 2>&1 </dev/null\nended=$?\nset -e\nexpect $ended {code}")
        else:
            lines.append(f"{{\n{text}}} >\"$at\" 2>&1 </dev/null")
    return "\n".join([*lines, "block=end", ""])


def missing(shown, said):
    """The first line that was shown and not said, in order."""
    lines = iter([" ".join(line.split()) for line in said.splitlines()])
    for wanted in filter(None, (" ".join(line.split()) for line in shown.splitlines())):
        if wanted == "…":
            continue
        pattern = re.compile(".*".join(re.escape(part.strip()) for part in wanted.split("…")))
        if not any(pattern.search(line) for line in lines):
            return wanted
    return None


def run(path):
    page = (REPOSITORY / path).read_text()
    stage, blocks = blocks_of(page)
    name = re.sub(r"\W", "_", path.removeprefix("docs/").removesuffix(".md")).lower()
    here = WORK / name
    here.mkdir()
    http, qlik = free_port(), free_port()
    places = {
        "/etc/tenantd": f"{here}/etc",
        "/etc/prometheus": f"{here}/prometheus",
        "/run/secrets": f"{here}/run/secrets",
        "127.0.0.1:9464": f"127.0.0.1:{http}",
        "127.0.0.1:8443": f"127.0.0.1:{qlik}",
    }
    (here / "page.sh").write_text(script_of(blocks, here, places))
    environment = os.environ | {
        "BOOK_HERE": str(HERE), "BOOK_PAGE": str(here), "BOOK_NAME": name, "BOOK_STAGE": stage,
        "BOOK_HTTP": f"127.0.0.1:{http}", "BOOK_QLIK": f"127.0.0.1:{qlik}",
    }
    ended = subprocess.run(["bash", str(here / "page.sh")], cwd=here, env=environment, capture_output=True, text=True)
    failures = []
    if ended.returncode:
        at = (here / "block").read_text().strip() if (here / "block").exists() else "the stage"
        said = here / "said.last"
        failures.append(f"{path}:{at}: exit code {ended.returncode}\n{ended.stdout}{ended.stderr}"
                        + (said.read_text() if said.exists() else ""))
    for number, block in enumerate(blocks):
        said = here / f"said.{number}"
        if block.shows is None or block.note("not run:") is not None or not said.exists():
            continue
        text = said.read_text()
        for shown, real in places.items():
            text = text.replace(real, shown)
        if (line := missing(block.shows, text)) is not None:
            failures.append(f"{path}:{block.line}: never said, or not in this place: {line}\nit said:\n{text}")
    shown = [block for block in blocks if not block.hidden and block.note("file") is None]
    left_out = [(block.line, why) for block in shown if (why := block.note("not run:")) is not None]
    return len(shown) - len(left_out), left_out, failures


def main(paths):
    total, failed = 0, False
    for path, (count, left_out, failures) in zip(paths, ThreadPoolExecutor(3).map(run, paths)):
        total += count
        print(f"{path}: {count} blocks" + (f", {len(left_out)} not run" if left_out else ""), flush=True)
        for line, why in left_out:
            print(f"    {path}:{line} not run: {why}")
        for failure in failures:
            failed = True
            print(f"FAILED {failure}", flush=True)
    print(f"book: {total} blocks of {len(paths)} pages were run")
    return 1 if failed or total == 0 else 0


sys.exit(main(sys.argv[1:]))
