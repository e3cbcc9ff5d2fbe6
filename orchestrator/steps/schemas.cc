// What each kind of step may be told, and what it makes: one table per kind. Programs read the options as
// they stand here.
#include <set>
#include <string>

#include <fmt/format.h>

#include "common/base/file.h"
#include "common/base/text.h"
#include "orchestrator/steps/step_kinds.h"

namespace gnnflow {
namespace {

using Faults = std::vector<std::pair<std::string, std::string>>;
using Options = std::vector<OptionSchema>;

constexpr double kMostNodes = 2147483648.0, kMostSeed = 9007199254740992.0;  // 2^53: exact in a double

// Builds one row: option("epochs", OptionType::integer, "...").required().within(1, 1e6)
struct Row : OptionSchema {
  Row required() && { return OptionSchema::required = true, std::move(*this); }
  Row otherwise(Json value) && { return OptionSchema::otherwise = std::move(value), std::move(*this); }
  Row within(double low, double high) && { return least = low, most = high, std::move(*this); }
  Row one_of(std::vector<std::string> words) && { return choices = std::move(words), std::move(*this); }
  Row of(OptionType type) && { return element = type, std::move(*this); }
  Row with(Options rows) && { return members = std::move(rows), std::move(*this); }
  Row from(std::vector<std::string> kinds) && { return accepts = std::move(kinds), std::move(*this); }
  Row not_in_key() && { return in_key = false, std::move(*this); }
  Row secret() && { return hidden = true, std::move(*this); }
  Row host() && { return names_host = true, in_key = false, std::move(*this); }
};

Row option(std::string key, OptionType type, std::string help) {
  Row row;
  row.key = std::move(key);
  row.type = type;
  row.help = std::move(help);
  return row;
}

Row seed_option(int otherwise) {
  return option("seed", OptionType::integer, "the same seed gives the same result")
      .within(0, kMostSeed)
      .otherwise(otherwise);
}
Row host_option() { return option("host", OptionType::text, "where it runs").otherwise("controller").host(); }
Row threads_option() {
  return option("threads", OptionType::integer,
                "threads of each rank; default: the ranks on a machine share its cores evenly")
      .within(1, 1024)
      .not_in_key();
}

KindSchema generate() {
  KindSchema kind;
  kind.kind = "generate";
  kind.help = "makes a graph: planted communities, power-law degrees, labels that need the edges";
  kind.options = {
      option("preset", OptionType::text,
             "a named set of sizes, which the other options override (docs/formats.md)")
          .one_of({"tiny", "products-small"})
          .otherwise("tiny"),
      option("nodes", OptionType::integer, "number of nodes; default: the preset's").within(1, kMostNodes),
      option("average_degree", OptionType::number, "edges into a node, on average; default: the preset's")
          .within(1, 1e6),
      option("features", OptionType::integer, "features per node; default: the preset's").within(1, 65'536),
      option("classes", OptionType::integer, "number of classes; default: the preset's").within(1, 32'000),
      option("homophily", OptionType::number, "share of edges inside a class; default: the preset's")
          .within(0, 1),
      option("noise", OptionType::number, "of features, against class means of size 1; default: the preset's")
          .within(0, 1000),
      option("label_noise", OptionType::number,
             "share of the nodes whose label is drawn again, whatever their class; default: the preset's")
          .within(0, 1),
      option("train_share", OptionType::number, "share of the nodes to train on; default: the preset's")
          .within(0, 1),
      option("val_share", OptionType::number,
             "share of the nodes to validate on; the rest is tested; default: the preset's")
          .within(0, 1),
      seed_option(0),
      host_option(),
  };
  kind.outputs = {{"graph", "graph", ""}};
  kind.check = [](const Json& options) {
    Faults faults;
    if (options.number_or("train_share", 0) + options.number_or("val_share", 0) > 1) {
      faults.emplace_back("val_share", "'train_share' and 'val_share' are more than all nodes together");
    }
    return faults;
  };
  return kind;
}

KindSchema import() {
  KindSchema kind;
  kind.kind = "import";
  kind.help = "turns a data set into a graph directory";
  kind.options = {
      option("source", OptionType::text, "folder of the data set; relative to the workflow file")
          .required()
          .not_in_key(),
      option("format", OptionType::text, "how the source is laid out (docs/formats.md)")
          .one_of({"npy"})
          .otherwise("npy"),
      option("undirected", OptionType::boolean, "adds the reverse of every edge; doubles are kept once")
          .otherwise(true),
      option("row_normalize", OptionType::boolean,
             "divides each row of features by the sum of its magnitudes")
          .otherwise(false),
      option("self_loops", OptionType::text, "edges from a node to itself")
          .one_of({"keep", "drop", "add"})
          .otherwise("keep"),
      host_option(),
  };
  kind.outputs = {{"graph", "graph", ""}};
  return kind;
}

KindSchema partition() {
  KindSchema kind;
  kind.kind = "partition";
  kind.help = "cuts a graph into parts";
  kind.options = {
      option("graph", OptionType::reference, "the graph").from({"generate", "import"}).required(),
      option("parts", OptionType::integer, "number of parts").within(1, 4096).required(),
      option("method", OptionType::text, "metis: few edges between parts; random: none better than another")
          .one_of({"metis", "random"})
          .otherwise("metis"),
      option("balance", OptionType::list,
             "what the parts have about equally much of; `train`, `val`, `test`: nodes of that split")
          .of(OptionType::text)
          .one_of({"nodes", "edges", "train", "val", "test"})
          .otherwise(Json(Json::Array{"nodes", "edges", "train"})),
      option("imbalance", OptionType::number, "how large the largest part may be, against the mean")
          .within(1.001, 10)
          .otherwise(1.05),
      seed_option(0),
      host_option(),
  };
  kind.outputs = {{"partition", "partition", ""}};
  kind.check = [](const Json& options) {
    Faults faults;
    std::set<std::string> seen;
    for (const Json& what : options.get("balance").array()) {
      if (!seen.insert(what.string()).second)
        faults.emplace_back("balance", fmt::format("'balance' names '{}' twice", what.string()));
    }
    if (seen.empty()) faults.emplace_back("balance", "'balance' must name something, as [nodes]");
    return faults;
  };
  return kind;
}

Faults check_place(const Json& options) {
  Faults faults;
  std::set<int64_t> seen;
  const Json& place = options.get("place");
  if (!place.is_object()) return faults;
  for (const auto& [host, parts] : place.object()) {
    for (const Json& part : parts.array()) {
      if (seen.insert(part.integer()).second) continue;
      faults.emplace_back("place." + host, fmt::format("'place' gives part {} to two hosts", part.integer()));
    }
  }
  int64_t next = 0;
  for (int64_t part : seen) {
    if (part != next++) {
      faults.emplace_back("place", fmt::format("'place' gives part {} to no host", next - 1));
      break;
    }
  }
  return faults;
}

KindSchema copy() {
  KindSchema kind;
  kind.kind = "copy";
  kind.help = "brings each part to its host, verified; what is there is not sent again";
  kind.options = {
      option("partition", OptionType::reference, "the partition").from({"partition"}).required(),
      option("place", OptionType::map, "host -> its parts; default: parts in turn over the hosts")
          .of(OptionType::list)
          .within(0, 4095)
          .host(),
  };
  kind.outputs = {{"partition", "", ""}};
  kind.check = check_place;
  return kind;
}

KindSchema launch() {
  KindSchema kind;
  kind.kind = "launch";
  kind.help = "a service: graph servers for every part, up while a step needs them";
  kind.options = {
      option("partition", OptionType::reference, "where the parts are").from({"copy"}).required(),
      option("servers_per_part", OptionType::integer, "servers for each part")
          .within(1, 64)
          .otherwise(1)
          .not_in_key(),
      option("restarts", OptionType::integer, "how often in 10 minutes a server that died is started again")
          .within(0, 1000)
          .otherwise(3)
          .not_in_key(),
  };
  kind.outputs = {{"servers", "", ""}};
  return kind;
}

Row model_option() {
  return option("model", OptionType::map, "what is trained")
      .with({
          option("kind", OptionType::text, "sage: GraphSAGE; mlp: no neighbours, as a control")
              .one_of({"sage", "mlp"})
              .required(),
          option("layers", OptionType::integer, "number of layers").within(1, 16).otherwise(2),
          option("hidden", OptionType::integer, "width of the layers between")
              .within(1, 65536)
              .otherwise(256),
          option("aggregate", OptionType::text, "of sage: how neighbours become one row; default: mean")
              .one_of({"mean"}),
          option("dropout", OptionType::number, "share of values dropped between layers while training")
              .within(0, 0.99)
              .otherwise(0),
      })
      .required();
}

Row sample_option() {
  return option("sample", OptionType::map, "how batches are made")
      .with({
          option("fanout", OptionType::list,
                 "neighbours drawn per node, layer nearest the input first; -1: all. Needed by sage")
              .of(OptionType::integer)
              .within(-1, 1024),
          option("batch", OptionType::integer,
                 "training nodes per step and rank (with `seeds: global`: over all ranks)")
              .within(1, 1 << 24)
              .otherwise(1024),
          option("seeds", OptionType::text,
                 "local: each rank trains on its own part's nodes; global: one order cut over the ranks")
              .one_of({"local", "global"})
              .otherwise("local"),
      })
      .otherwise(Json(Json::Object{}));
}

Row optimizer_option() {
  return option("optimizer", OptionType::map, "how weights are changed")
      .with({
          option("kind", OptionType::text, "the method").one_of({"adam", "adamw", "sgd"}).otherwise("adam"),
          option("lr", OptionType::number, "learning rate").within(0, 1e6).otherwise(0.01),
          option("weight_decay", OptionType::number, "pull of weights towards zero")
              .within(0, 1e6)
              .otherwise(0),
          option("momentum", OptionType::number, "of sgd; default: 0").within(0, 1),
          option("beta1", OptionType::number, "of adam and adamw; default: 0.9").within(0, 0.999999),
          option("beta2", OptionType::number, "of adam and adamw; default: 0.999").within(0, 0.99999999),
          option("epsilon", OptionType::number, "of adam and adamw; default: 1e-8").within(0, 1),
      })
      .otherwise(Json(Json::Object{}));
}

Faults check_train(const Json& options) {
  Faults faults;
  const Json& model = options.get("model");
  const Json& sample = options.get("sample");
  const Json& optimizer = options.get("optimizer");
  if (model.text_or("kind", "") == "mlp") {
    if (sample.has("fanout"))
      faults.emplace_back("sample.fanout", "an mlp has no neighbours: leave 'sample.fanout' out");
    if (model.has("aggregate"))
      faults.emplace_back("model.aggregate", "an mlp has no neighbours: leave 'model.aggregate' out");
  } else if (!sample.has("fanout")) {
    faults.emplace_back("sample",
                        fmt::format("model sage needs 'sample.fanout', a number for each of its {} layers",
                                    model.integer_or("layers", 2)));
  } else if (static_cast<int64_t>(sample.get("fanout").array().size()) != model.integer_or("layers", 2)) {
    faults.emplace_back(
        "sample.fanout",
        fmt::format("'sample.fanout' must have {} numbers, one for each layer of the model, not {}",
                    model.integer_or("layers", 2), sample.get("fanout").array().size()));
  }
  if (sample.has("fanout")) {
    for (const Json& number : sample.get("fanout").array()) {
      if (number.integer() == 0)
        faults.emplace_back("sample.fanout", "'sample.fanout' has a 0: write -1 for all neighbours");
    }
  }
  bool sgd = optimizer.text_or("kind", "") == "sgd";
  for (const char* key : {"beta1", "beta2", "epsilon"}) {
    if (sgd && optimizer.has(key))
      faults.emplace_back(std::string("optimizer.") + key, fmt::format("sgd has no '{}'", key));
  }
  if (!sgd && optimizer.has("momentum")) {
    faults.emplace_back("optimizer.momentum",
                        fmt::format("{} has no 'momentum': that is sgd's", optimizer.text_or("kind", "")));
  }
  return faults;
}

KindSchema train() {
  KindSchema kind;
  kind.kind = "train";
  kind.help = "trains a model, with ranks on the hosts that have the parts";
  kind.options = {
      option("servers", OptionType::reference, "the graph servers").from({"launch"}).required(),
      option("ranks_per_host", OptionType::integer, "trainer processes on each host")
          .within(1, 64)
          .otherwise(1),
      threads_option(),
      model_option(),
      sample_option(),
      optimizer_option(),
      option("precision", OptionType::text, "of products").one_of({"f32"}).otherwise("f32"),
      option("epochs", OptionType::integer, "how often the training nodes are gone through")
          .within(1, 1'000'000)
          .required(),
      seed_option(1),
      option("early_stop", OptionType::map,
             "ends when the validation nodes are no longer scored better; default: never")
          .with({
              option("metric", OptionType::text, "what is watched")
                  .one_of({"val_accuracy"})
                  .otherwise("val_accuracy"),
              option("patience", OptionType::integer, "epochs without a better score")
                  .within(1, 1'000'000)
                  .otherwise(5),
          }),
      option("checkpoint_copy", OptionType::bytes,
             "checkpoints up to this size are copied to the controller; default: what `defaults` says")
          .not_in_key(),
  };
  kind.outputs = {{"model", "model", ""},
                  {"best", "model", "best/model.safetensors"},
                  {"last", "model", "last/model.safetensors"},
                  {"metrics", "model", "metrics.json"}};
  kind.check = check_train;
  return kind;
}

KindSchema evaluate() {
  KindSchema kind;
  kind.kind = "evaluate";
  kind.help = "scores the best model of a training";
  kind.options = {
      option("model", OptionType::reference, "the training").from({"train"}).required(),
      option("split", OptionType::text, "which nodes are scored")
          .one_of({"train", "val", "test"})
          .otherwise("test"),
      option("how", OptionType::text, "full: with all neighbours, layer by layer; sampled: as in training")
          .one_of({"full", "sampled"})
          .otherwise("full"),
      threads_option(),
  };
  kind.outputs = {{"score", "score", ""},
                  {"metrics", "score", "metrics.json"},
                  {"predictions", "score", "predictions.npy"}};
  return kind;
}

const std::set<std::string, std::less<>> kRankVariables = {
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"};

Faults check_exec(const Json& options) {
  Faults faults;
  if (options.get("command").array().empty())
    faults.emplace_back("command", "'command' must not be empty: [program, argument, ...]");
  for (const Json& input : options.get("inputs").array()) {
    if (is_inside(input.string())) continue;
    faults.emplace_back(
        "inputs", fmt::format("input '{}' must be a path below the workflow file's folder", input.string()));
  }
  for (const auto& [name, path] : options.get("outputs").object()) {
    if (!is_name(name))
      faults.emplace_back("outputs",
                          fmt::format("'{}' is no name of an output: letters, digits, _ and -", name));
    if (is_inside(path.string())) continue;
    faults.emplace_back("outputs." + name,
                        fmt::format("output '{}' must be a path below the working folder", path.string()));
  }
  const bool per_rank = options.has("per");
  if (per_rank && options.text_or("host", "controller") != "controller")
    faults.emplace_back(
        "host", "'host' has no meaning with 'per: rank': there is a process on every host with a part");
  if (!per_rank && options.has("ranks_per_host"))
    faults.emplace_back("ranks_per_host", "'ranks_per_host' has no meaning without 'per: rank'");
  for (const auto& [name, value] : options.get("environment").object()) {
    if (per_rank && kRankVariables.count(name) != 0)
      faults.emplace_back("environment", fmt::format("'{}' is set by 'per: rank'", name));
    if (name.empty() || name.find('=') != std::string::npos || name.starts_with("GNNFLOW_")) {
      faults.emplace_back(
          "environment", fmt::format("'{}' cannot be set: GNNFLOW_... is ours, and a name has no '='", name));
    }
  }
  return faults;
}

KindSchema exec() {
  KindSchema kind;
  kind.kind = "exec";
  kind.help = "runs a command of yours; never through a shell";
  kind.options = {
      option("command", OptionType::list, "the program and its arguments; ${steps.x.name} is a path there")
          .of(OptionType::text)
          .required(),
      option("inputs", OptionType::list,
             "files beside the workflow that it reads; they stand in its working folder")
          .of(OptionType::text)
          .otherwise(Json(Json::Array{}))
          .not_in_key(),
      option("outputs", OptionType::map,
             "name -> path in its working folder of what it makes; ${steps.x.name} refers to it")
          .of(OptionType::text)
          .otherwise(Json(Json::Object{})),
      option("environment", OptionType::map, "variables added to its environment")
          .of(OptionType::text)
          .otherwise(Json(Json::Object{}))
          .secret(),
      host_option(),
      option("per", OptionType::text,
             "rank: one process for each rank of the step that it refers to or needs; default: one in all")
          .one_of({"rank"}),
      option("ranks_per_host", OptionType::integer,
             "with `per`: processes on each host; default: as many as that step has")
          .within(1, 64),
  };
  kind.outputs = {};
  kind.outputs_from = "outputs";
  kind.numbered_by = "per";
  kind.check = check_exec;
  return kind;
}

}  // namespace

std::vector<KindSchema> kind_schemas() {
  return {generate(), import(), partition(), copy(), launch(), train(), evaluate(), exec()};
}

}  // namespace gnnflow
