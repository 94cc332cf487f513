#!/usr/bin/env python3
"""Writes what kgen is made of: THIRD-PARTY-LICENSES.txt and a bill of materials (CycloneDX 1.5).

    packaging/bill.py TARGET FOLDER

Both list the crates that are linked in for TARGET with the feature `portable`, the C libraries inside of them, and musl, the C library of
the executable, which is zig's (the Python package ziglang). They follow from Cargo.lock and that package alone: no time, no machine, no
random number is in them.
"""

import json
import pathlib
import re
import subprocess
import sys
import uuid
from importlib import metadata

C_LIBRARY = re.compile(r"^(?P<name>[a-z0-9-]+)-(sys|src)$")
LICENCE_FILES = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE")


def resolved(target):
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target, "--features", "portable"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def linked(meta):
    """The packages that end up in the executable, without build scripts, macros and tests."""
    nodes = {node["id"]: node for node in meta["resolve"]["nodes"]}
    is_macro = lambda package: any("proc-macro" in of["kind"] for of in package["targets"])
    macros = {package["id"] for package in meta["packages"] if is_macro(package)}
    seen, todo = set(), [meta["resolve"]["root"]]
    while todo:
        node = todo.pop()
        if node not in seen and node not in macros:
            seen.add(node)
            todo += [dep["pkg"] for dep in nodes[node]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
    # OpenSSL's source is a build dependency, and linked all the same.
    by_name = {package["name"]: package for package in meta["packages"]}
    seen |= {by_name[name]["id"] for name in ("openssl-src",) if name in by_name}
    packages = [package for package in meta["packages"] if package["id"] in seen]
    return sorted(packages, key=lambda package: (package["name"], package["version"]))


def c_library(package):
    """Name and version of the C library in a crate such as `rdkafka-sys 4.10.0+2.12.1`."""
    found = C_LIBRARY.match(package["name"])
    version = package["version"].partition("+")[2]
    if not found or not version:
        return None
    name = {"rdkafka": "librdkafka"}.get(found["name"], found["name"])
    return name, version


def musl_file(path):
    """The text of a file of musl, as zig has it."""
    return metadata.distribution("ziglang").locate_file("ziglang/lib/libc/musl/" + path).read_text()


def musl():
    """Name and version of the C library."""
    return "musl", re.search(r'"([0-9.]+)"', musl_file("src/internal/version.h"))[1]


def licences(packages):
    lines = ["kgen is linked with the crates below, the C libraries in them, and musl, under these licences."]
    lines.append("\n" + "=" * 80 + "\n%s %s: MIT\n" % musl() + "-" * 80 + "\nCOPYRIGHT\n\n" + musl_file("COPYRIGHT"))
    for package in packages:
        if not package["source"]:
            continue
        lines.append("\n" + "=" * 80 + "\n%s %s: %s" % (package["name"], package["version"], package["license"]))
        folder = pathlib.Path(package["manifest_path"]).parent
        folders = [folder]
        if C_LIBRARY.match(package["name"]):
            folders += sorted(inner for inner in folder.iterdir() if inner.is_dir())
        for file in [file for place in folders for file in sorted(place.iterdir())]:
            if file.is_file() and file.name.upper().startswith(LICENCE_FILES):
                shown = file.relative_to(folder).as_posix()
                lines.append("-" * 80 + "\n" + shown + "\n\n" + file.read_text(errors="replace"))
    return "\n".join(lines) + "\n"


def bill(packages, sums, target):
    root = next(package for package in packages if not package["source"])
    components = []
    for package in packages:
        if not package["source"]:
            continue
        name, version = package["name"], package["version"]
        component = {
            "type": "library",
            "bom-ref": "pkg:cargo/%s@%s" % (name, version),
            "name": name,
            "version": version,
            "purl": "pkg:cargo/%s@%s" % (name, version),
            "licenses": [{"expression": package["license"].replace("/", " OR ")}] if package["license"] else [],
            "hashes": [{"alg": "SHA-256", "content": sums[name, version]}],
        }
        inner = c_library(package)
        if inner:
            component["components"] = [
                {"type": "library", "bom-ref": "%s@%s" % inner, "name": inner[0], "version": inner[1], "purl": "pkg:generic/%s@%s" % inner}
            ]
        components.append(component)
    name, version = musl()
    purl = "pkg:generic/%s@%s" % (name, version)
    licence = [{"license": {"id": "MIT"}}]
    components.append({"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, "licenses": licence})
    own = {"type": "application", "bom-ref": "kgen", "name": "kgen", "version": root["version"], "purl": "pkg:generic/kgen@%s" % root["version"]}
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": own, "properties": [{"name": "kgen:target", "value": target}]},
        "components": components,
        "dependencies": [{"ref": "kgen", "dependsOn": [component["bom-ref"] for component in components]}],
    }
    content = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(document, sort_keys=True))
    return {**document, "serialNumber": "urn:uuid:%s" % content}


def checksums(lock):
    blocks = lock.read_text().split("[[package]]")
    field = lambda block, name: (re.search(r'^%s = "(.*)"$' % name, block, re.M) or [None, None])[1]
    return {(field(block, "name"), field(block, "version")): field(block, "checksum") for block in blocks[1:]}


def main():
    target, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    meta = resolved(target)
    packages = linked(meta)
    sums = checksums(pathlib.Path(meta["workspace_root"]) / "Cargo.lock")
    (folder / "THIRD-PARTY-LICENSES.txt").write_text(licences(packages))
    (folder / "kgen.cdx.json").write_text(json.dumps(bill(packages, sums, target), indent=1, ensure_ascii=False) + "\n")


main()
