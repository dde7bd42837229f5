"""Where the texts come from: Debian packages, which of their files, and under what licence.

A row is (domain, package, kind, what, licence, cap): `kind` says how the text is taken from the
files that `what` matches below the unpacked package, `cap` is the most bytes that the row gives.
Rows whose package begins with `src:` are source packages, taken as their upstream published them.
"""

DOMAINS = ("english", "docs", "python", "c", "french", "german", "spanish")

MANUAL = "usr/share/doc/apache2-doc/manual"
SWORD = "usr/share/sword/modules/texts/ztext"
PYTHON = "usr/lib/python3.11/**/*.py"
MODULES = "usr/lib/python3/dist-packages"
RST = "usr/share/doc/python3.11/html/_sources/**/*.rst.txt"
POSTGRES = "usr/share/doc/postgresql-doc-15/html/*.html"
MB = 1_000_000

ROWS = (
    ("english", "dict-wn", "dict", "usr/share/dictd/*.dict.dz", "WordNet 3.0", 5 * MB),
    ("english", "dict-jargon", "dict", "usr/share/dictd/*.dict.dz", "public domain", 2 * MB),
    ("english", "dict-devil", "dict", "usr/share/dictd/*.dict.dz", "public domain", 1 * MB),
    ("english", "sword-text-web", "sword", SWORD + "/engWEB2015eb/*.bzs", "public domain", 3 * MB),
    ("docs", "python3.11-doc", "text", RST, "PSF-2.0", 4 * MB),
    ("docs", "postgresql-doc-15", "html", POSTGRES, "PostgreSQL", 4 * MB),
    ("docs", "apache2-doc", "html:en", MANUAL + "/en/**/*.html", "Apache-2.0", 3 * MB),
    ("python", "libpython3.11-minimal", "text", PYTHON, "PSF-2.0", 3 * MB),
    ("python", "libpython3.11-stdlib", "text", PYTHON, "PSF-2.0", 4 * MB),
    ("python", "python3-sympy", "text", MODULES + "/sympy/**/*.py", "BSD-3-Clause", 3 * MB),
    ("python", "python3-django", "text", MODULES + "/django/**/*.py", "BSD-3-Clause", 2 * MB),
    ("python", "python3-numpy", "text", MODULES + "/numpy/**/*.py", "BSD-3-Clause", 3 * MB),
    ("c", "src:sqlite3", "text", "*/src/*.[ch]", "public domain", 3 * MB),
    ("c", "src:zlib", "text", "*/*.[ch]", "Zlib", 1 * MB),
    ("c", "src:libuv1", "text", "*/src/**/*.[ch]", "MIT", 2 * MB),
    ("c", "src:musl", "text", "*/src/**/*.[ch]", "MIT", 2 * MB),
    ("c", "src:redis", "text", "*/src/*.[ch]", "BSD-3-Clause", 3 * MB),
    ("c", "src:nginx", "text", "*/src/**/*.[ch]", "BSD-2-Clause", 3 * MB),
    ("c", "src:lua5.4", "text", "*/src/*.[ch]", "MIT", 1 * MB),
    ("c", "src:postgresql-15", "text", "*/src/backend/**/*.[ch]", "PostgreSQL", 4 * MB),
    ("french", "apache2-doc", "html:fr", MANUAL + "/fr/**/*.html", "Apache-2.0", 6 * MB),
    ("french", "src:postgresql-15", "po", "*/src/**/po/fr.po", "PostgreSQL", 2 * MB),
    ("german", "apache2-doc", "html:de", MANUAL + "/de/**/*.html", "Apache-2.0", 6 * MB),
    ("german", "src:postgresql-15", "po", "*/src/**/po/de.po", "PostgreSQL", 2 * MB),
    ("spanish", "apache2-doc", "html:es", MANUAL + "/es/**/*.html", "Apache-2.0", 2 * MB),
    ("spanish", "src:postgresql-15", "po", "*/src/**/po/es.po", "PostgreSQL", 2 * MB),
    ("spanish", "sword-text-sparv", "sword", SWORD + "/spaRV1909eb/*.bzs", "public domain", 3 * MB),
)
