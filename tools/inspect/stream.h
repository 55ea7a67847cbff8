// Streams: whether the segments of a log or of a manifest hold together.
#ifndef IOENGINE_TOOLS_INSPECT_STREAM_H_
#define IOENGINE_TOOLS_INSPECT_STREAM_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ioengine/engine/format/manifest_edit.h"
#include "ioengine/engine/format/root_state.h"
#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/tools/inspect/blob_check.h"
#include "ioengine/tools/inspect/report.h"

namespace ioengine::inspect {

using Segments = std::map<uint64_t, SegmentReport>;  // of a stream, by number
using FrameVisitor = std::function<void(const SegmentReport&, const FrameReport&)>;

// As WalReplay reads it from `start`, without changing anything. `visit`: each frame that counts.
StreamReport InspectStream(const WalStream& stream, const RootStream& root, const WalStart& start,
                           const Segments& segments, const FrameVisitor& visit,
                           std::vector<std::string>& problems);

// A log, of which tables contain what `contained` says; and each value that another record of it
// points to is told to `blobs`. `directory` has its segments.
StreamReport InspectLog(const std::string& directory, const WalStream& stream,
                        const RootStream& root, const ContainedLog& contained,
                        const Segments& segments, BlobCheck& blobs,
                        std::vector<std::string>& problems);

// The manifest that ROOT names: the stream, and its edits. `directory` has its segments.
ManifestReport InspectManifest(const std::string& directory, const RootState& root,
                               const RootManifest& named, const Segments& segments,
                               std::vector<std::string>& problems);

}  // namespace ioengine::inspect

#endif  // IOENGINE_TOOLS_INSPECT_STREAM_H_
