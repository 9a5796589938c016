"""Every bench, one after the other: `make bench`."""

from bench import batch_memory, decoding, import_times, predict, startup

decoding.main()
predict.main([])
startup.main()
import_times.main()
batch_memory.main()
