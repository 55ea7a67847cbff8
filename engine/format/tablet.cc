#include "ioengine/engine/format/tablet.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/checksum.h"
#include "ioengine/engine/format/coding.h"

namespace ioengine {

std::string TabletName(uint64_t number) { return absl::StrCat("T-", number); }

Uuid TabletIdentity(const Uuid& database, uint64_t number) {
  std::array<std::byte, 24> source;
  std::copy(database.bytes.begin(), database.bytes.end(), source.begin());
  StoreFixed(source.data() + 16, number);
  return MakeUuid(Checksum(source, 1), Checksum(source, 2));
}

}  // namespace ioengine
