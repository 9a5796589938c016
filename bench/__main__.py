"""Every bench, one after the other: `make bench`."""

from bench import batch_memory, import_times, predict, startup

predict.main([])
startup.main()
import_times.main()
batch_memory.main()
