"""Collects the texts, trains the tokenizer and writes the token files.

    python3 data.py DIR      everything below DIR: packages, texts, tokens, manifest.json

Packages are downloaded and unpacked below DIR; nothing is installed and no setting of the system
changes. The same package versions give the same bytes.
"""
import argparse
import ast
import glob
import gzip
import hashlib
import html
import json
import os
import re
import struct
import subprocess
import zlib

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from sources import DOMAINS, ROWS

HERE = os.path.dirname(os.path.abspath(__file__))
VOCAB = 4096
END = "<|endoftext|>"
CHUNK = 12_000          # characters after which a long text is cut, at the next paragraph or line
HELD_OUT_PERCENT = 5
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
CONTENT = r'<div id="page-content">(.*?)<div (?:class="bottomlang"|id="footer")'
NAVIGATION = r'<div class="(toplang|navheader|navfooter|navbar)".*?</div>'
ARCHIVE = f"deb-src [signed-by={KEYRING}] http://deb.debian.org/debian bookworm main\n"


def fetch(folder, package):
    """The folder of an unpacked package, and its version."""
    name = package.removeprefix("src:")
    into = os.path.join(folder, "packages", package.replace(":", "-"))
    if not os.path.isdir(into):
        store = into + ".download"
        os.makedirs(store, exist_ok=True)
        if package == name:
            subprocess.run(["apt-get", "-q", "download", name], cwd=store, check=True)
            subprocess.run(["dpkg-deb", "-x", glob.glob(store + "/*.deb")[0], into + ".part"],
                           check=True)
        else:
            fetch_source(folder, name, store)
            os.makedirs(into + ".part", exist_ok=True)
            for archive in sorted(glob.glob(store + "/*.orig*.tar.*")):
                if not archive.endswith(".asc"):
                    subprocess.run(["tar", "xf", archive, "-C", into + ".part"], check=True)
        os.rename(into + ".part", into)
    got = sorted(glob.glob(into + ".download/*.dsc") + glob.glob(into + ".download/*.deb"))[0]
    return into, os.path.basename(got).split("_")[1].removesuffix(".dsc").replace("%3a", ":")


def fetch_source(folder, name, store):
    """Source packages come through apt with lists of its own, kept below the folder."""
    apt = os.path.join(os.path.abspath(folder), "apt")
    os.makedirs(apt + "/lists/partial", exist_ok=True)
    with open(apt + "/sources.list", "w", encoding="utf-8") as out:
        out.write(ARCHIVE)
    options = [f"-oDir::Etc::SourceList={apt}/sources.list", "-oDir::Etc::SourceParts=/nonexistent",
               f"-oDir::State::Lists={apt}/lists", "-oDir::Cache::srcpkgcache=",
               "-oDir::Cache::pkgcache="]
    if not glob.glob(apt + "/lists/*Sources*"):
        subprocess.run(["apt-get", "-q", *options, "update"], check=True)
    subprocess.run(["apt-get", "-q", *options, "source", "--download-only", name], cwd=store,
                   check=True)


def tidy(text):
    text = re.sub(r"[ \t]+\n", "\n", text.replace("\r\n", "\n"))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def from_text(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    digits = sum(c.isdigit() or c in ",x" for c in text)
    return "" if "\ufffd" in text or digits > len(text) / 4 else text


def from_dict(path):
    """A dictionary of dictd, less its entries about itself."""
    with gzip.open(path) as file:
        text = file.read().decode("utf-8", "replace")
    return text[text.find("\n", len(text) // 100):]


def from_sword(path):
    """The books of a zText module: OSIS markup in blocks that zlib packed."""
    with open(path, "rb") as file:
        index = file.read()
    with open(path[:-1] + "z", "rb") as file:
        packed = file.read()
    books = []
    for at in range(0, len(index) - 11, 12):
        start, size, _ = struct.unpack_from("<III", index, at)
        if size == 0:
            continue
        book = zlib.decompress(packed[start:start + size]).decode("utf-8", "replace")
        book = re.sub(r"<note.*?</note>", "", book, flags=re.S)
        book = re.sub(r"<(chapter|div|title|lb|l )[^>]*>", "\n", book)
        book = re.sub(r"[ \t]+", " ", html.unescape(re.sub(r"<[^>]*>", "", book)))
        books.append(re.sub(r"\s*\n\s*", "\n", book.replace("\x00", "")))
    return "\n\n".join(books)


def from_html(path, language):
    """The running text of a page; empty when the page is in another language."""
    with open(path, encoding="utf-8", errors="replace") as file:
        page = file.read()
    tag = re.search(r"<html[^>]*\blang=\"([\w-]+)\"", page)
    if language and (not tag or tag.group(1) != language):
        return ""
    main = re.search(CONTENT, page, re.S)
    page = main.group(1) if main else page
    page = re.sub(r"<(script|style|svg|head)\b.*?</\1>|<!--.*?-->", "", page, flags=re.S)
    page = re.sub(NAVIGATION, "", page, flags=re.S)
    keep = re.split(r"(<pre\b.*?</pre>)", page, flags=re.S)
    keep = [part if part.startswith("<pre") else re.sub(r"\s+", " ", part) for part in keep]
    page = re.sub(r"<(p|div|h\d|dt|tr|pre|table|ul|ol|dl)\b[^>]*>", "\n\n", "".join(keep))
    page = re.sub(r"<(br|li|dd)\b[^>]*>", "\n", page)
    text = html.unescape(re.sub(r"<[^>]*>", "", page)).replace("\xa0", " ").replace("¶", "")
    return "\n".join(line.strip() if "<pre" not in page else line for line in text.split("\n"))


def from_po(path):
    """The translations of a message catalogue, one a line."""
    with open(path, encoding="utf-8", errors="replace") as file:
        blocks = file.read().split("\n\n")[1:]
    messages = []
    for block in blocks:
        for found in re.finditer(r'^msgstr(?:\[0\])? ((?:".*"\n?)+)', block, re.M):
            message = "".join(ast.literal_eval(line) for line in found.group(1).split("\n") if line)
            if "fuzzy" not in block and message:
                messages.append(message.strip())
    return "\n".join(messages)


def chunks(text):
    """A text in pieces of about CHUNK characters, cut where a paragraph or a line ends."""
    while len(text) > 2 * CHUNK:
        cut = text.find("\n\n", CHUNK, 2 * CHUNK)
        cut = cut if cut >= 0 else text.find("\n", CHUNK, 2 * CHUNK)
        if cut < 0:
            return
        yield text[:cut + 1]
        text = text[cut + 1:].lstrip("\n")
    if len(text) > 200:
        yield text


def documents(folder, row):
    """(name, text) of a row's pieces, in an order that depends on the names alone."""
    _, package, kind, what, _, cap = row
    root, _ = fetch(folder, package)
    found = []
    for path in sorted(glob.glob(os.path.join(root, what), recursive=True)):
        if not os.path.isfile(path):
            continue
        if kind == "text":
            text = from_text(path)
        elif kind.startswith("html"):
            text = from_html(path, kind[5:])
        else:
            text = {"dict": from_dict, "sword": from_sword, "po": from_po}[kind](path)
        name = package + "/" + os.path.relpath(path, root)
        for number, piece in enumerate(chunks(tidy(text))):
            found.append((f"{name}#{number}", piece))
    found.sort(key=lambda one: hashlib.sha256(one[0].encode()).digest())
    total, kept = 0, []
    for name, text in found:
        total += len(text.encode())
        if total > cap:
            break
        kept.append((name, text))
    return kept


def held_out(name):
    """Texts are held out by file, or by piece where a package is one file."""
    if not name.startswith(("dict", "sword")) and ".po#" not in name:
        name = name.split("#")[0]
    return int.from_bytes(hashlib.sha256(b"split " + name.encode()).digest()[:4], "big") % 100 \
        < HELD_OUT_PERCENT


def train_tokenizer(texts, path):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=[END], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder")
    parser.add_argument("--new-tokenizer", action="store_true")
    options = parser.parse_args()
    os.makedirs(options.folder + "/packages", exist_ok=True)
    split = {part: {domain: [] for domain in DOMAINS} for part in ("train", "held")}
    manifest = []
    for row in ROWS:
        found = documents(options.folder, row)
        for name, text in found:
            split["held" if held_out(name) else "train"][row[0]].append((name, text))
        manifest.append({"domain": row[0], "package": row[1], "files": row[3], "licence": row[4],
                         "version": fetch(options.folder, row[1])[1], "pieces": len(found),
                         "bytes": sum(len(text.encode()) for _, text in found)})
        print(manifest[-1], flush=True)
    tokenizer_path = os.path.join(HERE, "tokenizer.json")
    if options.new_tokenizer:
        cap = min(sum(len(text) for _, text in split["train"][domain]) for domain in DOMAINS)
        texts = []
        for domain in DOMAINS:
            size = 0
            for _, text in split["train"][domain]:
                size += len(text)
                if size <= cap:
                    texts.append(text)
        train_tokenizer(texts, tokenizer_path)
    tokenizer = Tokenizer.from_file(tokenizer_path)
    end = tokenizer.token_to_id(END)
    totals = {}
    for part, domains in split.items():
        for domain, found in domains.items():
            ids = []
            for encoding in tokenizer.encode_batch([text for _, text in found]):
                ids += encoding.ids + [end]
            np.save(f"{options.folder}/{part}-{domain}.npy", np.array(ids, dtype=np.uint16))
            totals[f"{part}-{domain}"] = {
                "bytes": sum(len(text.encode()) for _, text in found), "tokens": len(ids)}
            print(part, domain, totals[f"{part}-{domain}"], flush=True)
            if part == "held":
                with open(f"{options.folder}/held-{domain}.json", "w", encoding="utf-8") as out:
                    json.dump(found, out, ensure_ascii=False)
    with open(HERE + "/manifest.json", "w", encoding="utf-8") as out:
        json.dump({"rows": manifest, "totals": totals}, out, indent=1)
        out.write("\n")


if __name__ == "__main__":
    main()
