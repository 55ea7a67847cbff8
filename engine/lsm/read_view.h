// ReadView: all places where a tablet's changes are, at one time.
#ifndef IOENGINE_ENGINE_LSM_READ_VIEW_H_
#define IOENGINE_ENGINE_LSM_READ_VIEW_H_

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/engine/blob/blob_file.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/lsm/memtable.h"
#include "ioengine/engine/lsm/version.h"
#include "ioengine/sched/intrusive_list.h"
#include "ioengine/sched/memory_budget.h"

namespace ioengine {

// In the order in which a key is looked for: the first place that has a change of it has the
// newest. Whoever reads holds the view, and with it the memory and the files that he needs.
//
// Shard: that of the tablet.
struct ReadView {
  std::shared_ptr<Memtable> memtable;                   // takes the writes
  std::vector<std::shared_ptr<const Memtable>> frozen;  // on their way to tables; newest first
  std::shared_ptr<const Version> version;
};

// What readers charge what they keep to. Null: nothing is charged.
struct ReaderMemory {
  MemoryBudget* copies = nullptr;   // of memory
  MemoryBudget* buffers = nullptr;  // of DmaBuffers, to read ahead
};

// What views come from. A new one takes the place of the last, and has all changes of it that a
// reader may still want: for those that are registered, what their sequences see.
//
// Shard: that of the tablet.
class ReadViewSource {
 public:
  // Who reads at a sequence for long, and holds a view meanwhile.
  class Reader : public ListLink {
   public:
    Sequence at() const { return at_; }
    // Gives up its view, unless it is using it right now. Must not suspend.
    virtual void LetGo() = 0;

   protected:
    explicit Reader(Sequence at) : at_(at) {}
    ~Reader() = default;

   private:
    const Sequence at_;
  };

  ReadViewSource() = default;
  ReadViewSource(const ReadViewSource&) = delete;
  ReadViewSource& operator=(const ReadViewSource&) = delete;

  // Unavailable once it is closed.
  virtual absl::Status MayRead() const = 0;
  virtual const std::shared_ptr<const ReadView>& read_view() const = 0;
  // That values of its views are in. Whoever has a view keeps those.
  virtual const BlobFiles& blobs() const = 0;
  virtual ReaderMemory reader_memory() const { return {}; }

  // Until the reader is destroyed.
  void Register(Reader& reader) { readers_.PushBack(reader); }
  // Asks all readers to let go of what they do not use right now: they take the view of that time
  // when they go on. Cost: for each, what it holds is released.
  void LetGoOfViews() {
    for (Reader* reader = readers_.front(); reader != nullptr; reader = readers_.Next(*reader)) {
      reader->LetGo();
    }
  }
  // For what may be dropped.
  IntrusiveList<Reader>& readers() { return readers_; }

 protected:
  ~ReadViewSource() = default;

 private:
  IntrusiveList<Reader> readers_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_LSM_READ_VIEW_H_
