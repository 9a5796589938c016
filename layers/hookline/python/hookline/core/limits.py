"""How large and how many what callers send may be, and what their names are made of."""

from __future__ import annotations

MAX_UPLOAD_BYTES = 5 * 1024**3  # S3's single PUT
MAX_UPLOADS = 1000
MAX_GPUS = 8
MAX_CORES = 64  # of inf1.24xlarge
MAX_REPLICAS = 32
MAX_BUCKETS = 32  # each is run once before a replica is ready
MAX_BUCKET = 1_000_000
MAX_SETTLE_S = 3600
MAX_WAIT_S = 24 * 3600
MAX_BURST_FILES = 10_000  # they are listed in memory
MAX_IN_FLIGHT = 512  # what a gateway gives a replica at once

# No control characters: names are printed on terminals and in logs.
SHA256 = r"^[0-9a-f]{64}$"
NAME = r"^[^\x00-\x1f\x7f]+$"
USER_NAME = r"^[a-zA-Z0-9][a-zA-Z0-9._@+-]{0,63}$"
SUFFIX = r"^[^\x00-\x1f\x7f/]+$"
FILE_NAME = r"^[^\x00-\x1f\x7f/]*$"
WORDS = {
    SHA256: "a SHA-256 of 64 lower-case hexadecimal digits",
    NAME: "a text without control characters",
    USER_NAME: "1 to 64 letters, digits and any of ._@+-, a letter or digit first",
    SUFFIX: "the end of a file's name, without / and control characters",
    FILE_NAME: "the name of a file, without / and control characters",
}
MAX_NAME_CHARS, MAX_FILE_NAME_CHARS, MAX_SUFFIX_CHARS, MAX_SUFFIXES = 200, 255, 32, 32
MAX_TARGET_CHARS = 2000
