// What a program leaves on its shard.

#ifndef IOENGINE_TESTS_IO_FAULTS_LEFTOVERS_H_
#define IOENGINE_TESTS_IO_FAULTS_LEFTOVERS_H_

#include <chrono>
#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/shard.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// Waits until what is in flight has ended, for a minute of the shard's time; empty when nothing of
// the shard is in use then. `frames`: how many coroutines there were before the program.
inline Task<std::string> LeftOver(Shard& shard, size_t frames) {
  ShardIo& io = shard.io();
  for (int i = 0; i < 60'000; ++i) {
    if (io.backend().in_flight() == 0 && io.files().open_files() == 0) break;
    co_await Sleep(std::chrono::milliseconds(1));
  }
  std::string left;
  if (const size_t count = io.backend().in_flight(); count > 0) {
    absl::StrAppend(&left, count, " operations are in flight; ");
  }
  if (const size_t count = io.files().open_files(); count > 0) {
    absl::StrAppend(&left, count, " files are open; ");
  }
  if (const size_t bytes = io.buffers().used_bytes(); bytes > 0) {
    absl::StrAppend(&left, bytes, " bytes of buffers are in use; ");
  }
  // This one is a coroutine too.
  if (const size_t live = shard.executor().frames().live() - 1; live > frames) {
    absl::StrAppend(&left, live - frames, " coroutines are left; ");
  }
  co_return left;
}

}  // namespace ioengine

#endif  // IOENGINE_TESTS_IO_FAULTS_LEFTOVERS_H_
