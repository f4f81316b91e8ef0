# SPDX-License-Identifier: BSD-3-Clause
# Parts of tests/install/documents: the documents, their entries and example commands, and the
# messages of the program.
import functools
import os
import re
import shlex
import subprocess
import sys

TOP = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../..")
MICROVM = os.path.realpath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(TOP, "microvm"))


MARKDOWN = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "dataplane/README.md", "devices/virtio/README.md", "devices/vhost_user/README.md",
            "vmm/arch/aarch64/README.md", "guest/README.md", "tests/README.md", "tools/bench/RESULTS.md")


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


def output(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
    return done.stdout.decode()


def load():
    """Returns the text of each document by its name."""
    return {
        "--help": output(MICROVM, "--help"),
        "microvm.1": read("vmm/man/microvm.1"),
        **{path: read(path) for path in MARKDOWN},
        "microvm.bash": read("tools/dist/microvm.bash"),
        "microvm-ctl --help": output(os.path.join(os.path.dirname(MICROVM), "microvm-ctl"), "--help"),
        "microvm-ctl.1": read("vmm/man/microvm-ctl.1"),
        "microvm-ctl.bash": read("tools/dist/microvm-ctl.bash"),
        "microvm-blk --help": output(os.path.join(os.path.dirname(MICROVM), "microvm-blk"), "--help"),
        "microvm-blk.1": read("vmm/man/microvm-blk.1"),
        # It uses functions of the other one.
        "microvm-blk.bash": read("tools/dist/microvm.bash") + read("tools/dist/microvm-blk.bash"),
    }


# ---- the program ----


@functools.lru_cache(maxsize=None)
def complaint(name, value, key=False):
    """Returns the program's error message about a value of an option, or of a key of --disk; None if
    the value is accepted."""
    needed = {"iops-burst": "iops=1,", "bps-burst": "bps=1,"}.get(name, "")
    said = output(MICROVM, *(["--disk", f"f,{needed}{name}={value}"] if key else [f"{name}={value}"]))
    if "--kernel FILE is missing" in said or "with --control, which" in said:
        return None
    return said.strip().rsplit(": ", 1)[-1]


def size(text):
    unit = "KMGT".find(text[-1]) + 1
    return int(text[:-1]) << 10 * unit if unit else int(text)


RANGE = re.compile(r"\b(\d+[KMGT]?) to (\d+[KMGT]?)\b")
# Each option and key refuses some of these values with a message that describes the valid ones.
TRIALS = ("?", "0", "1K", "99999999999", "x" * 21)


def wants(name, key):
    return [said for said in (complaint(name, value, key) for value in TRIALS) if said]


def names_of(path, pattern):
    names = re.findall(pattern, read(path))
    if not names:
        raise SystemExit(f"documents: {path}: no names found by {pattern!r}, which must match its tables")
    return names


# A row of a table of keys.
KEY = r'\{ "([a-z][a-z-]+)", OPTION_'


def options():
    return names_of("vmm/options/options.c", r'\{ "(--[a-z-]+)", OPTION_')


def keys():
    return names_of("vmm/options/disk.c", KEY) + limits()


def limits():
    return names_of("vmm/options/limits.h", KEY)


def subjects():
    return [(name, False) for name in options()] + [(name, True) for name in keys()]


# ---- example commands ----


def examples(text, program):
    """Yields the arguments of each indented command that starts `program`, without redirections."""
    for line in re.findall(rf"^ {{4}}\./{program} ((?:.*\\\n)*.*)$", text, flags=re.M):
        words = shlex.split(line.replace("\\\n", " "), comments=True)
        yield [word for word in words if word != "&" and not re.match(r"\d?[<>]", word)]


# ---- the documents' entries ----


def plain(roff):
    """Returns the text of a man page without roff's requests and escapes."""
    text = re.sub(r"^'?\\?\.?\\\".*$", "", roff, flags=re.M)
    text = re.sub(r'^\.[A-Z]{1,3}\b ?', "", text, flags=re.M)
    text = re.sub(r"\\f[A-Z]|\\\|", "", text)
    text = text.replace("\\(dq", '"').replace("\\-", "-").replace("\\e", "\\")
    # Quotes stay: in BR and BI lines they enclose words that contain blanks.
    return text


def man_entries(roff):
    """Returns {name: (begin, end)}: the entry of a name reaches from its .TP to the next one."""
    entries = {}
    marks = [m.start() for m in re.finditer(r"^\.(?:TP|TQ|SS|SH)\b", roff, flags=re.M)] + [len(roff)]
    for at, end in zip(marks, marks[1:]):
        lines = roff[at:end].split("\n", 2)
        if len(lines) < 2 or not lines[0].startswith((".TP", ".TQ")):
            continue
        found = re.match(r"\.B[IR]? ([^ \"|=]+)", lines[1])
        if found:
            entries[found[1].replace("\\-", "-").rstrip("=")] = [at, end]
    # Names that are joined by .TQ have the same text.
    joined = sorted(entries.values())
    for span, following in zip(reversed(joined[:-1]), reversed(joined[1:])):
        if roff.startswith(".TQ", following[0]):
            span[1] = following[1]
    return {name: tuple(span) for name, span in entries.items()}


def help_entries(text):
    entries, last = {}, None
    for m in re.finditer(r"^(.*)\n", text, flags=re.M):
        begin = re.match(r"  (--[a-z-]+|[a-z][a-z-]*)(?=[ =\[,\n]|$)", m[1])
        if begin:
            last = begin[1]
            entries[last] = (m.start(), m.end())
        elif last and m[1].startswith("     "):
            entries[last] = (entries[last][0], m.end())
        else:
            last = None
    return entries


PARSERS = {"--help": help_entries, "microvm.1": man_entries}


@functools.lru_cache(maxsize=None)
def spans(doc, text):
    return PARSERS[doc](text)


def entry(docs, doc, name):
    """Returns a document's entry for an option or a key as one line, or an empty string."""
    span = spans(doc, docs[doc]).get(name)
    text = docs[doc][span[0]:span[1]] if span else ""
    text = plain(text) if doc.endswith(".1") else text
    return re.sub(r"\s+", " ", text)


def section(docs, doc, begin, end=None):
    """Returns the text from a heading to the next one."""
    text = docs[doc]
    at = text.find(begin)
    if at < 0:
        return ""
    stop = text.find(end or ("\n.SH " if doc.endswith(".1") else "\n## "), at + len(begin))
    text = text[at:stop if stop >= 0 else len(text)]
    return plain(text) if doc.endswith(".1") else text


def squeeze(text):
    return re.sub(r"[\s\"]+", " ", text)


def completed(docs, doc, *words):
    return complete(docs[doc], doc, words)


@functools.lru_cache(maxsize=None)
def complete(text, doc, words):
    script = text + '\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); ' + (
        "_microvm_ctl" if "ctl" in doc else "_microvm_blk" if "blk" in doc else "_microvm") + '; echo "${COMPREPLY[@]}"'
    return output("bash", "-c", script, "bash", *words).split()
