"""Every bench, one after the other: `make bench`."""

from bench import batch_memory, serve_overhead, startup

serve_overhead.main()
startup.main()
batch_memory.main()
