// Progress as JSON and back.
#include "common/wire/progress.h"

namespace gnnflow {

Json Progress::to_json() const {
  Json json;
  json["phase"] = phase;
  json["done"] = done;
  json["total"] = total;
  json["unit"] = unit;
  json["note"] = note;
  if (rate > 0) json["rate"] = rate;
  return json;
}

Progress Progress::from_json(const Json& json) {
  Progress progress;
  progress.phase = json.text_or("phase", "");
  progress.done = json.integer_or("done", 0);
  progress.total = json.integer_or("total", 0);
  progress.unit = json.text_or("unit", "");
  progress.note = json.text_or("note", "");
  progress.rate = json.number_or("rate", 0);
  return progress;
}

}  // namespace gnnflow
