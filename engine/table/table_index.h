// The index of a table: which block a key is in, and what is lost with a block.
#ifndef IOENGINE_ENGINE_TABLE_TABLE_INDEX_H_
#define IOENGINE_ENGINE_TABLE_TABLE_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ioengine/engine/table/block.h"
#include "ioengine/engine/table/block_format.h"

namespace ioengine {

// What record `at` of an index block, or of the root, leads to. DataLoss: nothing that is there.
inline absl::StatusOr<BlockHandle> HandleAt(const Block& index, size_t at, uint64_t end_bytes) {
  BlockHandle handle;
  if (at < index.size() && DecodeBlockHandle(index.At(at).value, end_bytes, &handle)) {
    return handle;
  }
  return absl::DataLossError("an index block has a good checksum and leads nowhere");
}

// A key as an error shows it: so much of it that its block can be found.
inline std::string ShownKey(std::string_view key) {
  constexpr size_t kMostBytes = 40;
  std::string text = absl::CHexEscape(std::string(key.substr(0, kMostBytes)));
  if (key.size() > kMostBytes) text += "…";
  return absl::StrCat("\"", text, "\"");
}

// A DataLoss, with the keys that cannot be read for it: those of what `at` leads to. Other errors
// as they are.
inline absl::Status WithLostKeys(const absl::Status& status, const Block& index, size_t at) {
  if (!absl::IsDataLoss(status) || at >= index.size()) return status;
  std::string keys = absl::StrCat("keys from ", ShownKey(index.KeyAt(at)), " on");
  if (at + 1 < index.size()) {
    keys = absl::StrCat("keys from ", ShownKey(index.KeyAt(at)), " to ",
                        ShownKey(index.KeyAt(at + 1)));
  }
  return absl::DataLossError(absl::StrCat(std::string(status.message()), "; lost with it: ", keys));
}

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_TABLE_TABLE_INDEX_H_
