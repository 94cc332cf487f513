#!/usr/bin/env python3
"""Writes a container image as an OCI layout (image-spec 1.0) in one archive, without a daemon.

    packaging/image.py KGEN PACKAGES VERSION ARCHITECTURE OUT.tar

KGEN is the executable. PACKAGES is a folder of Debian packages, of which the image takes the C library and the certificates of the
authorities, and nothing else: no shell, no package manager. The image runs as user 65532, and needs no folder that can be written to.
Its bytes follow from KGEN and those packages alone; every file has the time of SOURCE_DATE_EPOCH.
"""

import gzip
import hashlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import time

USER = 65532
PACKAGES = ("ca-certificates", "libc6")
# What programs load by name: the linker of the system, the C library and its parts.
LIBRARIES = (
    "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1",
    "libresolv.so.2", "libnss_dns.so.2", "libnss_files.so.2",
)
LOADER = {"amd64": "lib64/ld-linux-x86-64.so.2", "arm64": "lib/ld-linux-aarch64.so.1"}
AUTHORITIES = "etc/ssl/certs/ca-certificates.crt"


def package(folder, name):
    """The version of a package, and its files by their paths."""
    found = sorted(folder.glob(name + "_*.deb"))
    if len(found) != 1:
        sys.exit("error: %s has %d packages %s, not one" % (folder, len(found), name))
    run = lambda *command: subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    version = run("dpkg-deb", "--field", found[0], "Version").decode().strip()
    with tarfile.open(fileobj=io.BytesIO(run("dpkg-deb", "--fsys-tarfile", found[0]))) as archive:
        files = {os.path.normpath(entry.name): archive.extractfile(entry).read() for entry in archive if entry.isfile()}
    return version, files


def base(folder, architecture):
    """What the image has beside kgen: path to mode and bytes; and the versions of the packages."""
    files, versions = {}, {}
    for name in PACKAGES:
        versions[name], found = package(folder, name)
        files.update({path: data for path, data in found.items() if path not in files})
    here = {}
    for path in sorted(files):
        if path.rpartition("/")[2] in LIBRARIES and "/lib/" in "/" + path:
            here["usr/lib/" + path.partition("lib/")[2]] = (0o755, files[path])
        if path in ["usr/share/doc/%s/copyright" % name for name in PACKAGES]:
            here[path] = (0o644, files[path])
    loader = [content for path, content in here.items() if path.endswith("/" + LOADER[architecture].rpartition("/")[2])]
    certificates = [path for path in sorted(files) if path.startswith("usr/share/ca-certificates/mozilla/")]
    if not loader or not certificates:
        sys.exit("error: there are no C library for %s and authorities in %s" % (architecture, folder))
    here[LOADER[architecture]] = loader[0]
    here[AUTHORITIES] = (0o644, b"".join(files[path] for path in certificates))
    return here, versions


def layer(files, epoch):
    """A compressed archive of `files` (path to mode and bytes) with their folders; its digest and that of what it unpacks to."""
    folders = {str(parent) for path in files for parent in pathlib.PurePosixPath(path).parents if str(parent) != "."}
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(folders | set(files)):
            entry = tarfile.TarInfo(path)
            entry.mtime = epoch
            if path in files:
                mode, data = files[path]
                entry.mode, entry.size = mode, len(data)
                archive.addfile(entry, io.BytesIO(data))
            else:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
    return gzip.compress(raw.getvalue(), 9, mtime=0), digest(raw.getvalue())


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def document(value):
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"


def main():
    kgen, folder, version, architecture, out = sys.argv[1:]
    epoch = int(os.environ["SOURCE_DATE_EPOCH"])
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
    around, versions = base(pathlib.Path(folder), architecture)
    around["etc/passwd"] = (0o644, b"root:x:0:0:root:/root:/sbin/nologin\nkgen:x:%d:%d:kgen:/:/sbin/nologin\n" % (USER, USER))
    around["etc/group"] = (0o644, b"root:x:0:\nkgen:x:%d:\n" % USER)
    around["etc/nsswitch.conf"] = (0o644, b"hosts: files dns\n")
    own = {"usr/bin/kgen": (0o755, pathlib.Path(kgen).read_bytes())}

    blobs = {}
    def blob(data, kind, **more):
        blobs[digest(data).replace(":", "/")] = data
        return {"mediaType": "application/vnd.oci.image." + kind, "digest": digest(data), "size": len(data), **more}

    layers = [layer(files, epoch) for files in (around, own)]
    described = [blob(data, "layer.v1.tar+gzip") for data, _ in layers]
    labels = {
        "org.opencontainers.image.title": "kgen",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.licenses": "MIT",
    }
    labels.update({"kgen.base." + name: found for name, found in versions.items()})
    config = {
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "config": {
            "User": "%d:%d" % (USER, USER),
            "Entrypoint": ["/usr/bin/kgen"],
            "Env": ["PATH=/usr/bin", "HOME=/", "SSL_CERT_FILE=/" + AUTHORITIES],
            "WorkingDir": "/",
            "Labels": labels,
        },
        "rootfs": {"type": "layers", "diff_ids": [unpacked for _, unpacked in layers]},
        "history": [
            {"created": created, "created_by": "packaging/image.py: the C library and the authorities of Debian"},
            {"created": created, "created_by": "packaging/image.py: kgen " + version},
        ],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(document(config), "config.v1+json"),
        "layers": described,
        "annotations": labels,
    }
    platform = {"architecture": architecture, "os": "linux"}
    named = {"org.opencontainers.image.ref.name": version}
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [blob(document(manifest), "manifest.v1+json", platform=platform, annotations=named)],
    }
    files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}\n', "index.json": document(index)}
    files.update({"blobs/" + name: data for name, data in blobs.items()})
    with tarfile.open(out, "w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(files):
            entry = tarfile.TarInfo(path)
            entry.mtime, entry.mode, entry.size = epoch, 0o644, len(files[path])
            archive.addfile(entry, io.BytesIO(files[path]))


main()
