#include "ioengine/tools/benchmark/metrics.h"

#include <array>
#include <span>
#include <string_view>

namespace ioengine::bench {
namespace {

constexpr std::array kMetrics = {
    Metric{"io", "bytes_per_s", "B/s", Better::kHigher,
           "Bytes that the device moved for completed operations, per second of wall time.", "MB/s",
           1e6},
    Metric{"io", "iops", "1/s", Better::kHigher,
           "Operations completed per second of wall time, all shards together.", "IOPS", 1},
    Metric{"io", "p50_us", "us", Better::kLower,
           "Median latency: from the turn that asks for an operation to the turn that sees it "
           "completed.",
           "p50 µs", 1},
    Metric{"io", "p99_us", "us", Better::kLower, "99th percentile of the same latency.", "p99 µs",
           1},
    Metric{"io", "p999_us", "us", Better::kLower, "99.9th percentile of the same latency.",
           "p99.9 µs", 1},
    Metric{"io", "max_us", "us", Better::kLower, "The slowest operation's latency.", "max µs", 1},
    Metric{"io", "cpu_us_per_op", "us", Better::kLower,
           "CPU time per operation, user and system, the kernel's io_uring workers included.",
           "CPU µs/op", 1},
    Metric{"io", "background_bytes_per_s", "B/s", Better::kHigher,
           "Bytes that the background moved beside the foreground, per second.", "background MB/s",
           1e6},
    Metric{"io", "share_error_percent", "%", Better::kLower,
           "How far the ratio of two classes' operations is from that of their shares.",
           "share error %", 1},

    Metric{"sched", "switches_per_s", "1/s", Better::kHigher,
           "Tasks resumed per second when all that they do is yield.", "switches M/s", 1e6},
    Metric{"sched", "tasks_per_s", "1/s", Better::kHigher, "Tasks spawned and joined per second.",
           "spawn + join M/s", 1e6},
    Metric{"sched", "bytes_per_task", "B", Better::kLower,
           "Memory that a detached task takes while it waits for an event.", "B/task", 1},
    Metric{"sched", "check_ns", "ns", Better::kLower,
           "A MaybeYield that does not suspend, beside the same loop without it.", "check ns", 1},
    Metric{"sched", "await_ns", "ns", Better::kLower,
           "A call of a coroutine through three awaits that gives a good Status.", "await ns", 1},
    Metric{"sched", "failed_extra_ns", "ns", Better::kLower,
           "How much longer the same call takes when it gives a failed Status.", "failed + ns", 1},
    Metric{"sched", "share_error_percent", "%", Better::kLower,
           "How far the worst class is from its part of the CPU.", "share error %", 1},
    Metric{"sched", "late_p99_us", "us", Better::kLower,
           "99th percentile of how late a sleeper in a latency class runs beside hogs.",
           "late p99 µs", 1},
    Metric{"sched", "late_max_us", "us", Better::kLower, "The latest run of the same sleeper.",
           "late max µs", 1},
    Metric{"sched", "bare_p99_us", "us", Better::kLower,
           "99th percentile of how late a loop that spins on the clock is, alone on the core.",
           "bare p99 µs", 1},
    Metric{"sched", "bare_max_us", "us", Better::kLower, "The latest turn of the same loop.",
           "bare max µs", 1},
    Metric{"sched", "cpu_percent", "%", Better::kLower,
           "CPU time of the process while its shard is idle, of one CPU.", "idle CPU %", 1},
    Metric{"sched", "resident_bytes", "B", Better::kLower,
           "Memory of the process with an idle shard, its 2 MiB of buffers included.", "RSS MiB",
           1048576},

    Metric{"timer", "cpu_s", "s", Better::kLower,
           "CPU time of the shard for all tasks, spawning included.", "CPU s", 1},
    Metric{"timer", "late_p99_ms", "ms", Better::kLower,
           "99th percentile of the time between the end of a sleep and the task's run.",
           "late p99 ms", 1},
    Metric{"timer", "late_max_ms", "ms", Better::kLower, "The latest of them.", "late max ms", 1},
    Metric{"timer", "arm_ns", "ns", Better::kLower, "CPU time to arm a timer among many.", "arm ns",
           1},
    Metric{"timer", "cancel_ns", "ns", Better::kLower, "CPU time to cancel a timer among many.",
           "cancel ns", 1},

    Metric{"mesh", "p50_ns", "ns", Better::kLower,
           "Median time of a call to an awake shard and its answer.", "p50 ns", 1},
    Metric{"mesh", "p99_ns", "ns", Better::kLower, "99th percentile of the same time.", "p99 ns",
           1},
    Metric{"mesh", "calls_per_s", "1/s", Better::kHigher,
           "Calls to a shard that were answered, per second.", "calls M/s", 1e6},
    Metric{"mesh", "messages_per_s", "1/s", Better::kHigher,
           "Values that went through a channel to another shard, per second.", "messages M/s", 1e6},
    Metric{"mesh", "p50_us", "us", Better::kLower,
           "Median time of a call and its answer when both shards sleep in between (asleep); of a "
           "batch "
           "of calls of another thread (foreign).",
           "p50 µs", 1},

    Metric{"sim", "disk_ops_per_s", "1/s", Better::kHigher,
           "Operations on a simulated disk, per second of real time.", "disk ops M/s", 1e6},
    Metric{"sim", "acknowledged_per_s", "1/s", Better::kHigher,
           "Durable writes of simulated shards that were acknowledged, per second of real time.",
           "acknowledged M/s", 1e6},
    Metric{"sim", "crashes_per_s", "1/s", Better::kHigher,
           "Power cuts with the start of a shard and the reading of its file, per second of real "
           "time.",
           "crashes k/s", 1e3},

    Metric{"store", "ops_per_s", "1/s", Better::kHigher,
           "Puts, gets, or keys of a scan, per second, to the last acknowledgement; of recovery, "
           "records of the log.",
           "k ops/s", 1e3},
    Metric{"store", "settled_ops_per_s", "1/s", Better::kHigher,
           "The same, to the end of all flushes and compactions.", "settled k ops/s", 1e3},
    Metric{"store", "bytes_per_s", "B/s", Better::kHigher,
           "Bytes of keys and values, per second, to the last acknowledgement.", "MB/s", 1e6},
    Metric{"store", "p50_us", "us", Better::kLower, "Median time of one operation.", "p50 µs", 1},
    Metric{"store", "p99_us", "us", Better::kLower, "99th percentile of the same time.", "p99 µs",
           1},
    Metric{"store", "p999_us", "us", Better::kLower, "99.9th percentile of the same time.",
           "p99.9 µs", 1},
    Metric{"store", "cpu_s_per_million_ops", "s", Better::kLower,
           "CPU time of the process, flushes and compactions included, for a million operations.",
           "CPU s/M ops", 1},
    Metric{"store", "write_amplification", "1", Better::kLower,
           "Bytes written to the log and to tables for each byte of keys and values that was put.",
           "write amp", 1},
    Metric{"store", "table_write_amplification", "1", Better::kLower, "The same without the log.",
           "write amp, tables", 1},
    Metric{"store", "space_amplification", "1", Better::kLower,
           "Bytes of all tables, compacted, for each byte of the keys that there are and their "
           "values.",
           "space amp", 1},
    Metric{"store", "runs", "1", Better::kLower, "Sorted runs of tables, compacted.", "runs", 1},
    Metric{"store", "tables", "1", Better::kLower, "Tables, compacted.", "tables", 1},
    Metric{"store", "open_ms", "ms", Better::kLower, "Time to open a store that was not closed.",
           "open ms", 1},
    Metric{"store", "log_bytes", "B", Better::kLower, "Bytes of the files of its log.", "log MiB",
           1048576},

    Metric{"kv", "ops_per_s", "1/s", Better::kHigher,
           "Operations per second, to the last acknowledgement: puts, deletes, gets, scans from a "
           "random key; of multiget and readseq, keys.",
           "k ops/s", 1e3},
    Metric{"kv", "settled_ops_per_s", "1/s", Better::kHigher,
           "The same, to the end of all flushes and compactions.", "settled k ops/s", 1e3},
    Metric{"kv", "p50_us", "us", Better::kLower,
           "Median time of one operation; of readseq, of one of 128 keys.", "p50 µs", 1},
    Metric{"kv", "p99_us", "us", Better::kLower, "99th percentile of the same time.", "p99 µs", 1},
    Metric{"kv", "p999_us", "us", Better::kLower, "99.9th percentile of the same time.", "p99.9 µs",
           1},
    Metric{"kv", "max_us", "us", Better::kLower, "The slowest operation's time.", "max µs", 1},
    Metric{"kv", "cpu_us_per_op", "us", Better::kLower,
           "CPU time of the process per operation, flushes and compactions to their end included.",
           "CPU µs/op", 1},
    Metric{"kv", "drain_s", "s", Better::kLower,
           "Time from the last acknowledgement to the end of all flushes and compactions.",
           "drain s", 1},
    Metric{"kv", "write_amplification", "1", Better::kLower,
           "Bytes that the process wrote to the device, to the end of all flushes and compactions, "
           "for each byte of keys and values that was put.",
           "write amp", 1},
    Metric{"kv", "read_amplification", "1", Better::kLower,
           "Bytes that the process read from the device for each byte of keys and values that was "
           "read.",
           "read amp", 1},
    Metric{"kv", "space_amplification", "1", Better::kLower,
           "Bytes of the disk that all files take, compacted, for each byte of the keys that there "
           "are and their values.",
           "space amp", 1},
    Metric{"kv", "resident_bytes", "B", Better::kLower,
           "Memory of the process when the last operation has ended, what it knows of keys to "
           "check them included.",
           "RSS MiB", 1048576},
    Metric{"kv", "paced_puts_per_s", "1/s", Better::kHigher, "Puts of readwhilewriting per second.",
           "paced k puts/s", 1e3},
};

}  // namespace

std::span<const Metric> Metrics() { return kMetrics; }

const Metric* FindMetric(std::string_view suite, std::string_view name) {
  for (const Metric& metric : kMetrics) {
    if (metric.suite == suite && metric.name == name) return &metric;
  }
  return nullptr;
}

}  // namespace ioengine::bench
