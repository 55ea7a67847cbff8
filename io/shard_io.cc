#include "ioengine/io/shard_io.h"

#include <utility>

namespace ioengine {

// Closes the descriptor of a file that nobody refers to, frees its slot, and tells whoever asked
// for the close. Deletes itself.
class ShardIo::Closing final : public IoWaiter {
 public:
  static void Start(IoQueue& queue, FileTable& table, OpenFile& file) {
    IoCommand command;
    command.request.opcode = IoOpcode::kClose;
    command.request.fd = file.fd;
    command.request.site = file.site;
    queue.Submit(*new Closing(queue, std::move(command), table, file));
  }

 private:
  Closing(IoQueue& queue, IoCommand command, FileTable& table, OpenFile& file)
      : IoWaiter(queue, std::move(command)), table_(table), file_(file) {}

  void Done() override {
    CloseListener* const listener = file_.close_listener;
    table_.Release(file_);
    if (listener != nullptr) listener->OnClosed(result());
    delete this;
  }

  FileTable& table_;
  OpenFile& file_;
};

ShardIo::ShardIo(Backend& backend, Executor& executor, std::span<std::byte> arena,
                 const ShardIoOptions& options)
    : backend_(backend),
      executor_(executor),
      buffers_(arena),
      queue_(backend, executor,
             {.depth = options.queue_depth,
              .max_bytes = options.max_bytes_in_flight,
              .max_background_bytes = options.max_background_bytes,
              .slow = options.slow_io}),
      files_(options.max_open_files, *this) {
  buffers_.SetRegistered(backend_.RegisterBuffers(arena));
}

ShardIo::~ShardIo() { queue_.Drain(); }

void ShardIo::CloseFile(OpenFile& file) {
  if (file.registered_index >= 0) backend_.RegisterFile(file.registered_index, -1);
  if (file.fd >= 0) {
    Closing::Start(queue_, files_, file);
  } else {
    files_.Release(file);  // reserved for an open that failed
  }
}

}  // namespace ioengine
