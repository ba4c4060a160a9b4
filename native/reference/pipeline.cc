// SPDX-License-Identifier: Apache-2.0
// Exposes pipeline.h as the class Pipeline: new Pipeline(tables, frames, starts, ifindexes) with views of the
// simulator's maps and of the frames; run(first, end, seconds), checksum(first, end, seconds), clear(), and counters.
// Invariant: the typed arrays are kept alive, and are those that the simulator reads; frames are rewritten in place.
#include "pipeline.h"
#include "registry.h"

namespace {

using weir::Frame;
using weir::Pipeline;

Napi::Object objectOf(const Napi::Object &from, const char *name) { return from.Get(name).As<Napi::Object>(); }

uint32_t numberOf(const Napi::Object &from, const char *name) {
  return from.Get(name).As<Napi::Number>().Uint32Value();
}

/** The memory of a typed array of 32-bit words. */
const uint32_t *wordsOf(const Napi::Object &from, const char *name) {
  const auto array = from.Get(name).As<Napi::TypedArray>();
  const auto *bytes = static_cast<const uint8_t *>(array.ArrayBuffer().Data()) + array.ByteOffset();
  return reinterpret_cast<const uint32_t *>(bytes);
}

/** Number of `Struct`s in a typed array of words. */
template <typename Struct> uint32_t countOf(const Napi::Object &from, const char *name) {
  return static_cast<uint32_t>(from.Get(name).As<Napi::TypedArray>().ByteLength() / sizeof(Struct));
}

template <typename View> View flatView(const Napi::Object &tables, const char *name) {
  const Napi::Object table = objectOf(tables, name);
  View view{};
  view.words = wordsOf(table, "words");
  view.multipliers = wordsOf(table, "multipliers");
  view.stride = numberOf(table, "stride");
  view.end = numberOf(table, "end");
  view.shift = numberOf(table, "shift");
  return view;
}

template <typename View> View lpmView(const Napi::Object &tables, const char *name) {
  const Napi::Object table = objectOf(tables, name);
  View view = flatView<View>(tables, name);
  view.lengths = wordsOf(table, "lengths");
  view.salts = wordsOf(table, "salts");
  view.masks = wordsOf(table, "masks");
  view.present = numberOf(table, "present");
  return view;
}

weir::Tables tablesOf(const Napi::Object &from) {
  weir::Tables tables{};
  tables.config = reinterpret_cast<const weir_config *>(wordsOf(from, "config"));
  tables.services = flatView<weir::HashView<weir_service>>(from, "services4");
  tables.backends = reinterpret_cast<const weir_backend4 *>(wordsOf(from, "backends4"));
  tables.backendsMax = countOf<weir_backend4>(from, "backends4");
  tables.maglevPlaces = wordsOf(from, "maglevPlaces4");
  tables.maglevCount = numberOf(from, "maglevCount4");
  tables.maglevPool = wordsOf(from, "maglevPool4");
  tables.maglevWords = numberOf(from, "maglevWords4");
  tables.endpoints = flatView<weir::HashView<weir_endpoint>>(from, "endpoints4");
  tables.ipcache = lpmView<weir::LpmView<weir_ipcache>>(from, "ipcache4");
  tables.policy = flatView<weir::HashView<weir_policy>>(from, "policy");
  tables.policyMeta = reinterpret_cast<const weir_policy_meta *>(wordsOf(from, "policyMeta"));
  tables.policyMetaMax = countOf<weir_policy_meta>(from, "policyMeta");
  tables.routes = lpmView<weir::LpmView<weir_route>>(from, "routes4");
  tables.anyRoutes = tables.routes.present > 0;
  const Napi::Object neighbours = objectOf(from, "neighbours4");
  tables.neighbours.words = wordsOf(neighbours, "words");
  tables.neighbours.multipliers = wordsOf(neighbours, "multipliers");
  tables.neighbours.index = wordsOf(neighbours, "index");
  tables.neighbours.stride = numberOf(neighbours, "stride");
  tables.neighbours.mask = countOf<uint32_t>(neighbours, "index") - 1;
  tables.neighbours.shift = numberOf(neighbours, "shift");
  return tables;
}

weir::ConnectionSizes sizesOf(const Napi::Object &from) {
  const auto multipliers = [&](const char *name) { return wordsOf(objectOf(from, name), "multipliers"); };
  const auto maximum = [&](const char *name) { return numberOf(objectOf(from, name), "maxEntries"); };
  return {multipliers("ctTcp4"), multipliers("ctTcpNew4"), multipliers("ctAnyNew4"),
          maximum("ctTcp4"),     maximum("ctTcpNew4"),     maximum("ctAnyNew4")};
}

class PipelineObject : public Napi::ObjectWrap<PipelineObject> {
public:
  explicit PipelineObject(const Napi::CallbackInfo &info)
      : Napi::ObjectWrap<PipelineObject>(info),
        pipeline_(tablesOf(info[0].As<Napi::Object>()), sizesOf(info[0].As<Napi::Object>())) {
    auto frames = info[1].As<Napi::Uint8Array>();
    const auto starts = info[2].As<Napi::Uint32Array>();
    const auto ifindexes = info[3].As<Napi::Uint16Array>();
    frames_ = frames.Data();
    starts_ = starts.Data();
    ifindexes_ = ifindexes.Data();
    auto kept = Napi::Array::New(info.Env(), 4);
    for (uint32_t i = 0; i < 4; i++)
      kept.Set(i, info[i]);
    kept_ = Napi::Persistent(kept.As<Napi::Object>());
  }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "Pipeline",
        {InstanceMethod<&PipelineObject::run>("run"), InstanceMethod<&PipelineObject::checksum>("checksum"),
         InstanceMethod<&PipelineObject::clear>("clear"), InstanceAccessor<&PipelineObject::unsupported>("unsupported"),
         InstanceAccessor<&PipelineObject::connections>("connections"),
         InstanceAccessor<&PipelineObject::events>("events"), InstanceAccessor<&PipelineObject::packets>("packets")});
  }

private:
  /** Runs packets [first, end); `each` is told the verdict. Two to the 17th packets make a second. */
  template <typename Each> Napi::Value over(const Napi::CallbackInfo &info, Each each) {
    const uint32_t first = info[0].As<Napi::Number>().Uint32Value();
    const uint32_t end = info[1].As<Napi::Number>().Uint32Value();
    const uint32_t seconds = info[2].As<Napi::Number>().Uint32Value();
    uint32_t sum = 0;
    for (uint32_t i = first; i < end; i++) {
      const Frame frame{frames_ + starts_[2 * i], starts_[2 * i + 1], ifindexes_[i], seconds + (i >> 17),
                        (i & 0x1ffff) * 7629};
      const int verdict = pipeline_.run(frame);
      if (verdict < 0)
        unsupported_++;
      sum = each(sum, static_cast<uint32_t>(verdict), frame);
    }
    return Napi::Number::New(info.Env(), static_cast<int32_t>(sum));
  }

  Napi::Value run(const Napi::CallbackInfo &info) {
    return over(info, [this](uint32_t sum, uint32_t verdict, const Frame &) {
      return sum * 31 + verdict + pipeline_.record.backend_id * 7 + pipeline_.record.out_ifindex;
    });
  }

  /** Over verdict, mark, decision record and the first 56 bytes of each frame (no shorter one is given). */
  Napi::Value checksum(const Napi::CallbackInfo &info) {
    return over(info, [this](uint32_t sum, uint32_t verdict, const Frame &frame) {
      const auto mix = [&sum](uint32_t word) {
        sum = (sum ^ word) * weir::kMix;
        sum ^= sum >> 15;
      };
      mix(verdict);
      mix(pipeline_.mark);
      uint32_t record[sizeof(weir_decision) / 4];
      memcpy(record, &pipeline_.record, sizeof record);
      for (const uint32_t word : record)
        mix(word);
      for (int i = 0; i < 56; i += 4)
        mix(weir::load<uint32_t>(frame.bytes + i));
      return sum;
    });
  }

  void clear(const Napi::CallbackInfo &) { pipeline_.clear(); }
  Napi::Value unsupported(const Napi::CallbackInfo &info) { return number(info, unsupported_); }
  Napi::Value connections(const Napi::CallbackInfo &info) { return number(info, pipeline_.connections()); }
  Napi::Value events(const Napi::CallbackInfo &info) { return number(info, static_cast<double>(pipeline_.events())); }
  /** Packets counted as passed. */
  Napi::Value packets(const Napi::CallbackInfo &info) {
    return number(info, static_cast<double>(pipeline_.metrics(0).packets));
  }

  static Napi::Value number(const Napi::CallbackInfo &info, double value) {
    return Napi::Number::New(info.Env(), value);
  }

  Pipeline pipeline_;
  Napi::ObjectReference kept_;
  uint8_t *frames_;
  const uint32_t *starts_;
  const uint16_t *ifindexes_;
  uint32_t unsupported_ = 0;
};

} // namespace

void registerPipeline(Napi::Env env, Napi::Object exports) { exports.Set("Pipeline", PipelineObject::define(env)); }
