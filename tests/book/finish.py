"""What `make book` does behind mdBook: files of the repository that a page points at are put beside
the book, and every link of every page is held against what is there.

The rule: nothing is fetched; a link to another site is not looked at.
"""

import html.parser
import pathlib
import shutil
import sys
import urllib.parse

repository, book = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])


class Page(html.parser.HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.links, self.ids = [], set()
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if "id" in attributes:
            self.ids.add(attributes["id"])
        for name in ("href", "src"):
            if attributes.get(name):
                self.links.append(attributes[name])


pages = {path: Page(path) for path in book.glob("docs/**/*.html") if path.name not in ("print.html", "toc.html", "404.html")}
seen, wrong = 0, []
for path, page in pages.items():
    for link in page.links:
        parts = urllib.parse.urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        seen += 1
        target = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
        if target.is_dir() and (target / "index.html").exists():
            target = target / "index.html"
        if not target.exists() and target.is_relative_to(book):
            # mdBook takes every page for one of its own.
            original = repository / target.relative_to(book)
            if original.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(original, target)
            elif original.is_dir():
                shutil.copytree(original, target)
        if not target.exists():
            wrong.append(f"{path.relative_to(book)}: {link} leads nowhere")
        elif parts.fragment and target in pages and parts.fragment not in pages[target].ids:
            wrong.append(f"{path.relative_to(book)}: {link} leads to no heading")

for line in sorted(set(wrong)):
    print(line)
print(f"book: {len(pages)} pages with {seen} links; it begins at {book / 'docs/index.html'}")
sys.exit(1 if wrong or len(pages) < 80 else 0)
