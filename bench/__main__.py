"""Every bench, one after the other: `make bench`."""

from bench import (
    batch_memory,
    batches,
    decoding,
    engine,
    import_times,
    planner,
    precisions,
    predict,
    startup,
)

decoding.main()
engine.main()
predict.main([])
startup.main()
import_times.main()
batch_memory.main()
planner.main([])
batches.main([])
precisions.main([])
