#include "ioengine/io/io_site.h"

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace ioengine {
namespace {

constexpr char kPayload[] = "ioengine/io_site";

}  // namespace

std::string IoSite::ToString() const {
  return known() ? absl::StrCat(file(), ":", line()) : std::string();
}

std::string IoSiteOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kPayload);
  return payload.has_value() ? std::string(*payload) : std::string();
}

absl::Status WithIoSite(absl::Status status, IoSite site) {
  if (!status.ok() && site.known()) status.SetPayload(kPayload, absl::Cord(site.ToString()));
  return status;
}

}  // namespace ioengine
