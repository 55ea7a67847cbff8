#include "ioengine/engine/format/root_state.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/checksum.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

constexpr uint64_t kMagic = 0x544f4f52656f69;  // "ioeROOT" and a zero
constexpr size_t kHeaderBytes = 64;

// As it stands on disk.
struct SlotHeader {
  uint64_t checksum;
  uint64_t magic;
  uint32_t format_version;
  uint32_t body_bytes;
  uint64_t epoch;
  std::byte database[16];
  uint64_t incarnation;
  uint64_t zeros;
};
static_assert(sizeof(SlotHeader) == kHeaderBytes);
static_assert(offsetof(SlotHeader, epoch) == 24 && offsetof(SlotHeader, incarnation) == 48);

uint64_t SlotChecksum(std::span<const std::byte> slot, size_t slot_number) {
  return Checksum(slot.subspan(sizeof(uint64_t)), slot_number);
}

void AppendSeal(std::string& to, const RootSeal& seal) {
  AppendVarint(to, seal.frame);
  AppendVarint(to, seal.record);
  AppendFixed64(to, seal.hash);
}

std::string EncodeBody(const RootState& state) {
  std::string body;
  body += static_cast<char>(state.placement.kind);
  AppendVarint(body, state.placement.prefix_bytes);
  AppendVarint(body, state.streams.size());
  for (const RootStream& stream : state.streams) {
    AppendVarint(body, stream.stream);
    AppendVarint(body, stream.incarnation);
    AppendVarint(body, stream.root_epoch);
    AppendVarint(body, stream.segment_bytes);
    body += static_cast<char>(stream.seal.has_value());
    if (!stream.seal.has_value()) continue;
    AppendSeal(body, *stream.seal);
  }
  AppendVarint(body, state.manifests.size());
  for (const RootManifest& manifest : state.manifests) {
    AppendVarint(body, manifest.stream);
    AppendVarint(body, manifest.incarnation);
    AppendVarint(body, manifest.root_epoch);
    AppendSeal(body, manifest.least);
  }
  AppendVarint(body, state.tablets.size());
  for (const RootTablet& tablet : state.tablets) {
    AppendVarint(body, tablet.number);
    AppendVarint(body, tablet.lower.size());
    body += tablet.lower;
  }
  body += static_cast<char>(state.complete);
  return body;
}

RootSeal TakeSeal(Decoder& decoder) {
  RootSeal seal;
  seal.frame = decoder.Varint();
  seal.record = decoder.Varint();
  seal.hash = decoder.Fixed<uint64_t>();
  return seal;
}

bool DecodeStream(Decoder& decoder, RootStream& stream) {
  stream.stream = decoder.Varint();
  stream.incarnation = decoder.Varint();
  stream.root_epoch = decoder.Varint();
  stream.segment_bytes = decoder.Varint();
  const uint8_t sealed = decoder.Fixed<uint8_t>();
  if (sealed > 1) return false;
  if (sealed == 1) {
    stream.seal = TakeSeal(decoder);
  }
  return decoder.ok();
}

bool DecodeBody(std::span<const std::byte> body, RootState& state) {
  Decoder decoder(body);
  const uint8_t kind = decoder.Fixed<uint8_t>();
  if (kind > static_cast<uint8_t>(KeyPlacement::Kind::kRange)) return false;
  state.placement.kind = static_cast<KeyPlacement::Kind>(kind);
  state.placement.prefix_bytes = decoder.Varint();
  // Each takes bytes, so a count that is too large ends the loop early.
  const uint64_t streams = decoder.Varint();
  for (uint64_t i = 0; i < streams; ++i) {
    if (!DecodeStream(decoder, state.streams.emplace_back())) return false;
  }
  const uint64_t manifests = decoder.Varint();
  for (uint64_t i = 0; i < manifests && decoder.ok(); ++i) {
    RootManifest& manifest = state.manifests.emplace_back();
    manifest.stream = decoder.Varint();
    manifest.incarnation = decoder.Varint();
    manifest.root_epoch = decoder.Varint();
    manifest.least = TakeSeal(decoder);
  }
  const uint64_t tablets = decoder.Varint();
  for (uint64_t i = 0; i < tablets && decoder.ok(); ++i) {
    RootTablet& tablet = state.tablets.emplace_back();
    tablet.number = decoder.Varint();
    tablet.lower = decoder.Text();
  }
  const uint8_t complete = decoder.Fixed<uint8_t>();
  state.complete = complete == 1;
  return complete <= 1 && decoder.done();
}

}  // namespace

absl::Status EncodeRootSlot(const RootState& state, size_t slot_number, std::span<std::byte> slot) {
  IOENGINE_CHECK(slot.size() == kRootSlotBytes, "a slot of ROOT has another size");
  const std::string body = EncodeBody(state);
  if (body.size() > kRootSlotBytes - kHeaderBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("ROOT has no room for ", state.streams.size(), " log streams, ",
                     state.manifests.size(), " manifests and ", state.tablets.size(), " tablets"));
  }
  SlotHeader header = {};
  header.magic = kMagic;
  header.format_version = kFormatVersion;
  header.body_bytes = static_cast<uint32_t>(body.size());
  header.epoch = state.epoch;
  std::copy(state.database.bytes.begin(), state.database.bytes.end(), header.database);
  header.incarnation = state.incarnation;
  std::fill(slot.begin(), slot.end(), std::byte{0});
  std::memcpy(slot.data(), &header, sizeof(header));
  std::memcpy(slot.data() + sizeof(header), body.data(), body.size());
  StoreFixed(slot.data(), SlotChecksum(slot, slot_number));
  return absl::OkStatus();
}

bool IsRootSlot(std::span<const std::byte> slot) {
  return slot.size() >= kHeaderBytes &&
         LoadFixed<uint64_t>(slot.data() + offsetof(SlotHeader, magic)) == kMagic;
}

absl::StatusOr<RootState> DecodeRootSlot(std::span<const std::byte> slot, size_t slot_number) {
  SlotHeader header;
  if (slot.size() != kRootSlotBytes) return absl::DataLossError("ROOT is cut short");
  std::memcpy(&header, slot.data(), sizeof(header));
  if (header.magic != kMagic || header.checksum != SlotChecksum(slot, slot_number)) {
    return absl::DataLossError(absl::StrCat("slot ", slot_number, " of ROOT is damaged"));
  }
  if (header.format_version > kFormatVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the database has format ", header.format_version, ", and this version of ",
                     "ioengine knows formats up to ", kFormatVersion, "; use a newer one"));
  }
  RootState state;
  state.epoch = header.epoch;
  std::copy(std::begin(header.database), std::end(header.database), state.database.bytes.begin());
  state.incarnation = header.incarnation;
  if (header.body_bytes > kRootSlotBytes - kHeaderBytes ||
      !DecodeBody(slot.subspan(kHeaderBytes, header.body_bytes), state)) {
    return absl::DataLossError(
        absl::StrCat("slot ", slot_number, " of ROOT has a good checksum and makes no sense"));
  }
  return state;
}

}  // namespace ioengine
