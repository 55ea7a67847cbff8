// `simulate [--forget-sync] [SEED]`.
//
// A small log under simulation: the power is cut a thousand times, and no record that was promised
// is ever lost. With --forget-sync the log has a mistake, which the cuts find; with a number it
// runs that seed alone, and tells what happened.

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "ioengine/engine/sim/simulation.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/file_system.h"

namespace {

constexpr size_t kBlock = 4096;  // one record

// What the log's user knows; no power cut takes that away.
struct Ledger {
  bool forget_sync = false;
  uint64_t promised = 0;
};

// Records are numbered from 1; an empty block ends the log.
ioengine::Task<absl::StatusOr<uint64_t>> CountRecords(ioengine::DmaFile& log,
                                                      ioengine::DmaBuffer& buffer) {
  for (uint64_t count = 0;; ++count) {
    auto read = co_await log.Read(count * kBlock, buffer, kBlock);
    if (!read.ok()) co_return read.status();
    uint64_t words[kBlock / 8] = {};
    std::memcpy(words, buffer.data(), *read);
    for (const uint64_t word : words) {
      if (word != count + 1) co_return count;  // not written, or torn
    }
  }
}

// Nothing here knows that it is simulated. Appends until somebody stops it.
ioengine::Task<absl::Status> AppendRecords(ioengine::Shard& shard, Ledger* ledger) {
  using Options = ioengine::DmaFileOptions;
  auto files = co_await ioengine::FileSystem::Open(shard.io(), "/");
  if (!files.ok()) co_return files.status();
  auto log = co_await files->OpenFile(
      "log", {.access = Options::Access::kReadWrite, .create = Options::Create::kIfMissing});
  if (!log.ok()) co_return log.status();
  absl::Status synced = co_await files->SyncDirectory();  // the name of a new file
  if (!synced.ok()) co_return synced;
  auto buffer = shard.io().AllocateBuffer(kBlock);
  if (!buffer.ok()) co_return buffer.status();

  auto count = co_await CountRecords(*log, *buffer);
  if (!count.ok()) co_return count.status();
  if (*count < ledger->promised) co_return absl::DataLossError("a promised record is lost");
  for (uint64_t number = *count + 1;; ++number) {
    for (size_t i = 0; i < kBlock; i += 8) std::memcpy(buffer->data() + i, &number, 8);
    absl::Status written = co_await log->Write((number - 1) * kBlock, *buffer, kBlock);
    if (!written.ok()) co_return written;
    if (!ledger->forget_sync) {
      if (synced = co_await log->Fdatasync(); !synced.ok()) co_return synced;
    }
    ledger->promised = number;
  }
}

// Ten lives of one log; gives whether all promises were kept.
bool RunSeed(uint64_t seed, bool forget_sync, bool tell) {
  ioengine::Simulation simulation({.seed = seed});
  Ledger ledger = {.forget_sync = forget_sync};
  for (int life = 0; life < 10; ++life) {
    simulation.CutPowerAfter(simulation.random().Below(100));
    const ioengine::SimulationResult result = simulation.Run(AppendRecords, &ledger);
    if (tell) std::printf("%s\n", result.message.c_str());
    if (result.end == ioengine::SimulationEnd::kPowerCut) continue;
    if (!tell) std::printf("%s\n", result.message.c_str());
    if (tell) std::printf("%s", simulation.trace().ToString().c_str());
    return false;
  }
  return true;
}

// A number from 1; false for anything else.
bool ParseSeed(std::string_view text, uint64_t* seed) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *seed);
  return error == std::errc() && end == text.data() + text.size() && *seed > 0;
}

}  // namespace

int main(int argc, char** argv) {
  bool forget_sync = false;
  uint64_t only = 0;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--forget-sync") {
      forget_sync = true;
    } else if (only != 0 || !ParseSeed(argv[i], &only)) {
      std::fprintf(stderr, "usage: simulate [--forget-sync] [SEED]\n");
      return 2;
    }
  }
  if (only != 0) return RunSeed(only, forget_sync, true) ? 0 : 1;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    if (!RunSeed(seed, forget_sync, false)) return 1;
  }
  std::printf("1000 power cuts, no promised record lost\n");
  return 0;
}
