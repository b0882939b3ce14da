#!/bin/sh
# Builds the book into target/book, as it would be put on a web server, and holds every link in it
# against what is there.
#
# Needs python3 with venv, and PyPI for the first run; MDBOOK names an mdbook that is there already.
# Files of the repository that a page points at are copied beside the pages.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
BOOK_DIR=${BOOK_DIR:-$repository/target/mdbook}
mkdir -p "$BOOK_DIR"
if [ -z "${MDBOOK:-}" ] && ! cmp -s "$here/requirements.txt" "$BOOK_DIR/installed"; then
    python3 -m venv "$BOOK_DIR/venv"
    PIP_ROOT_USER_ACTION=ignore "$BOOK_DIR/venv/bin/pip" install --quiet --no-cache-dir --disable-pip-version-check \
        --require-hashes --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$BOOK_DIR/installed"
fi
rm -rf "$repository/target/book"
"${MDBOOK:-$BOOK_DIR/venv/bin/mdbook}" build "$repository/docs"
python3 "$here/finish.py" "$repository" "$repository/target/book"
