#include "ioengine/engine/format/manifest_edit.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/coding.h"

namespace ioengine {
namespace {

constexpr char kTableSuffix[] = ".sst";

void AppendUuid(std::string& to, const Uuid& uuid) { to.append(AsText(uuid.bytes)); }

Uuid TakeUuid(Decoder& decoder) {
  Uuid uuid;
  const std::span<const std::byte> bytes = decoder.Bytes(uuid.bytes.size());
  std::copy(bytes.begin(), bytes.end(), uuid.bytes.begin());
  return uuid;
}

void AppendText(std::string& to, std::string_view text) {
  AppendVarint(to, text.size());
  to.append(text);
}

void AppendBlob(std::string& to, const BlobReference& blob) {
  AppendUuid(to, blob.file);
  AppendVarint(to, blob.values);
  AppendVarint(to, blob.stored_bytes);
}

bool TakeBlob(Decoder& decoder, BlobReference& blob) {
  blob.file = TakeUuid(decoder);
  blob.values = decoder.Varint();
  blob.stored_bytes = decoder.Varint();
  return decoder.ok();
}

// Each element takes bytes, so a count that is too large ends the loop early.
template <typename T, typename Take>
bool TakeList(Decoder& decoder, std::vector<T>& list, Take take) {
  const uint64_t count = decoder.Varint();
  for (uint64_t i = 0; i < count; ++i) {
    if (!take(decoder, list.emplace_back())) return false;
  }
  return decoder.ok();
}

void AppendTable(std::string& to, const TableRecord& table) {
  AppendUuid(to, table.identity.uuid);
  AppendFixed64(to, table.identity.digest);
  AppendFixed64(to, table.identity.records_hash);
  for (const uint64_t number :
       {table.run, uint64_t{table.tier}, table.identity.file_bytes, table.identity.records,
        table.deletes, table.key_bytes, table.value_bytes, table.largest_sequence.epoch,
        table.largest_sequence.counter}) {
    AppendVarint(to, number);
  }
  AppendText(to, table.lower);
  to += static_cast<char>(table.upper.has_value());
  if (table.upper.has_value()) AppendText(to, *table.upper);
  AppendVarint(to, table.blobs.size());
  for (const BlobReference& blob : table.blobs) AppendBlob(to, blob);
}

bool TakeTable(Decoder& decoder, TableRecord& table) {
  table.identity.uuid = TakeUuid(decoder);
  table.identity.digest = decoder.Fixed<uint64_t>();
  table.identity.records_hash = decoder.Fixed<uint64_t>();
  table.run = decoder.Varint();
  const uint64_t tier = decoder.Varint();
  if (tier > UINT32_MAX) return false;
  table.tier = static_cast<uint32_t>(tier);
  for (uint64_t* const number :
       {&table.identity.file_bytes, &table.identity.records, &table.deletes, &table.key_bytes,
        &table.value_bytes, &table.largest_sequence.epoch, &table.largest_sequence.counter}) {
    *number = decoder.Varint();
  }
  table.lower = decoder.Text();
  const uint8_t has_upper = decoder.Fixed<uint8_t>();
  if (has_upper > 1) return false;
  if (has_upper == 1) table.upper = decoder.Text();
  return TakeList(decoder, table.blobs, TakeBlob);
}

void AppendLog(std::string& to, const ContainedLog& log) {
  for (const uint64_t number : {log.stream, log.record, log.segment, log.frame, log.first_record}) {
    AppendVarint(to, number);
  }
  AppendFixed64(to, log.previous_hash);
}

bool TakeLog(Decoder& decoder, ContainedLog& log) {
  for (uint64_t* const number :
       {&log.stream, &log.record, &log.segment, &log.frame, &log.first_record}) {
    *number = decoder.Varint();
  }
  log.previous_hash = decoder.Fixed<uint64_t>();
  return decoder.ok();
}

void AppendReceived(std::string& to, const ReceivedBatches& received) {
  AppendVarint(to, received.coordinator);
  AppendVarint(to, received.place.epoch);
  AppendVarint(to, received.place.counter);
}

bool TakeReceived(Decoder& decoder, ReceivedBatches& received) {
  received.coordinator = decoder.Varint();
  received.place.epoch = decoder.Varint();
  received.place.counter = decoder.Varint();
  return decoder.ok();
}

}  // namespace

std::string EncodeManifestEdit(const ManifestEdit& edit) {
  std::string record;
  AppendVarint(record, edit.added.size());
  for (const TableRecord& table : edit.added) AppendTable(record, table);
  AppendVarint(record, edit.removed.size());
  for (const Uuid& uuid : edit.removed) AppendUuid(record, uuid);
  AppendVarint(record, edit.logs.size());
  for (const ContainedLog& log : edit.logs) AppendLog(record, log);
  AppendVarint(record, edit.finished.size());
  for (const uint64_t stream : edit.finished) AppendVarint(record, stream);
  AppendVarint(record, edit.batches.size());
  for (const ReceivedBatches& received : edit.batches) AppendReceived(record, received);
  return record;
}

bool DecodeManifestEdit(std::span<const std::byte> record, ManifestEdit* edit) {
  *edit = {};
  Decoder decoder(record);
  const auto take_uuid = [](Decoder& from, Uuid& uuid) {
    uuid = TakeUuid(from);
    return from.ok();
  };
  const auto take_number = [](Decoder& from, uint64_t& number) {
    number = from.Varint();
    return from.ok();
  };
  return TakeList(decoder, edit->added, TakeTable) && TakeList(decoder, edit->removed, take_uuid) &&
         TakeList(decoder, edit->logs, TakeLog) && TakeList(decoder, edit->finished, take_number) &&
         TakeList(decoder, edit->batches, TakeReceived) && decoder.done();
}

std::string LowerBound(std::string_view smallest) {
  return std::string(smallest.substr(0, kMaxBoundBytes));
}

std::optional<std::string> UpperBound(std::string_view largest) {
  std::string bound(largest.substr(0, kMaxBoundBytes));
  if (largest.size() < kMaxBoundBytes) return bound + '\0';
  // The first one behind all that begin so: without bytes that cannot grow.
  while (!bound.empty() && bound.back() == '\xff') bound.pop_back();
  if (bound.empty()) return std::nullopt;
  ++bound.back();
  return bound;
}

std::string TableFileName(const Uuid& uuid) { return absl::StrCat(uuid.ToString(), kTableSuffix); }

std::optional<Uuid> ParseTableFileName(std::string_view name) {
  return ParseUuidName(name, kTableSuffix);
}

}  // namespace ioengine
