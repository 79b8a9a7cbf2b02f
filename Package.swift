// swift-tools-version: 6.2
import PackageDescription

/// Every Swift target: language mode 6, warnings are errors, and calls may be inlined across the package's modules
/// (per-span code reads views of `OTLPWire`; without it each access is a call).
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release)),
]

func system(_ name: String, _ pkgConfig: String, _ package: String) -> Target {
    .systemLibrary(name: name, pkgConfig: pkgConfig, providers: [.apt([package])])
}

func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: strict)
}

let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOPosix", package: "swift-nio"),
    .product(name: "NIOHTTP1", package: "swift-nio"),
]

let package = Package(
    name: "collector",
    products: [.executable(name: "collector", targets: ["Collector"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        system("CDeflate", "libdeflate", "libdeflate-dev"),
        system("CISAL", "libisal", "libisal-dev"),
        system("CLibPQ", "libpq", "libpq-dev"),
        .systemLibrary(name: "CMalloc"),
        system("CNGHTTP2", "libnghttp2", "libnghttp2-dev"),
        system("COpenSSL", "libcrypto", "libssl-dev"),
        system("CProtobufC", "libprotobuf-c", "libprotobuf-c-dev"),
        system("CSQLite", "sqlite3", "libsqlite3-dev"),
        system("CXXHash", "libxxhash", "libxxhash-dev"),
        system("CZstd", "libzstd", "libzstd-dev"),
        .target(name: "COTLP", dependencies: ["CProtobufC"]),
        .target(name: "CRE2", linkerSettings: [.linkedLibrary("re2")]),
        .target(name: "CSIMDJSON", cxxSettings: [.define("NDEBUG")], linkerSettings: [.linkedLibrary("simdjson")]),
        .target(name: "CTextScan"),

        module("SelfTelemetry", [.product(name: "Logging", package: "swift-log")]),
        module("Configuration", ["Yams"]),
        module("Patterns", ["CRE2", "OTLPWire"]),
        module("Crypto", ["COpenSSL"]),
        module("HTTPServer", nio + ["CNGHTTP2", "SelfTelemetry"]),
        module("OTLPWire", ["COTLP", "CProtobufC", "CSIMDJSON"]),
        module(
            "Pipeline",
            ["Configuration", "OTLPWire", "SelfTelemetry", "CISAL", "CMalloc", "CXXHash", .product(name: "Logging", package: "swift-log")]),
        .target(
            name: "GenAI",
            dependencies: [
                "Configuration", "OTLPWire", "Pipeline", "SelfTelemetry", .product(name: "Logging", package: "swift-log"),
            ],
            resources: [.embedInCode("Pricing/prices.yaml")], swiftSettings: strict),
        module(
            "OTLPReceiver",
            [
                "Configuration", "HTTPServer", "OTLPWire", "Pipeline", "SelfTelemetry", "CDeflate", "CZstd",
                .product(name: "Logging", package: "swift-log"), .product(name: "NIOCore", package: "swift-nio"),
            ]),
        module(
            "Redaction",
            [
                "Configuration", "Crypto", "OTLPWire", "Patterns", "Pipeline", "SelfTelemetry", "CTextScan",
                .product(name: "Logging", package: "swift-log"),
            ]),
        module(
            "Exporters",
            [
                "Configuration", "Crypto", "OTLPWire", "Pipeline", "SelfTelemetry", "CLibPQ", "CSQLite",
                .product(name: "Logging", package: "swift-log"),
            ]),
        module(
            "Sampling",
            ["Configuration", "OTLPWire", "Patterns", "Pipeline", "SelfTelemetry", .product(name: "Logging", package: "swift-log")]),
        .executableTarget(
            name: "Collector",
            dependencies: [
                "Configuration", "Exporters", "GenAI", "HTTPServer", "OTLPReceiver", "OTLPWire", "Pipeline", "Redaction",
                "Sampling", "SelfTelemetry",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ] + nio,
            swiftSettings: strict),

        // Prints the redactor's figures: recall, precision, CPU time per byte.
        .executableTarget(
            name: "redaction-bench",
            dependencies: [
                "Crypto", "OTLPWire", "Patterns", "Pipeline", "Redaction", "SelfTelemetry",
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Benchmarks/Redaction", swiftSettings: strict),
        // Prints what the processor `genai` takes per span.
        .executableTarget(
            name: "genai-bench",
            dependencies: ["GenAI", "OTLPWire", "Pipeline", "SelfTelemetry", .product(name: "Logging", package: "swift-log")],
            path: "Benchmarks/GenAI", swiftSettings: strict),

        // Tail sampling with a clock of its own: for tests against a model, and its figures.
        .executableTarget(
            name: "sampling-bench",
            dependencies: [
                "Configuration", "GenAI", "OTLPWire", "Pipeline", "Sampling", "SelfTelemetry",
                .product(name: "Logging", package: "swift-log"),
            ], path: "Benchmarks/Sampling", swiftSettings: strict),

        tests("CollectorTests", ["Collector", "Configuration", "OTLPWire", "Pipeline", "SelfTelemetry"] + nio),
        tests("SelfTelemetryTests", ["SelfTelemetry", .product(name: "Logging", package: "swift-log")]),
        tests("ConfigurationTests", ["Configuration"], exclude: ["Fixtures"]),
        tests("HTTPServerTests", ["HTTPServer", "SelfTelemetry"] + nio),
        tests("OTLPWireTests", ["OTLPWire"], exclude: ["Fixtures"]),
        tests(
            "PipelineTests",
            ["Configuration", "Pipeline", "OTLPWire", "SelfTelemetry", .product(name: "Logging", package: "swift-log")]),
        tests(
            "GenAITests",
            ["Configuration", "GenAI", "OTLPWire", "Pipeline", "SelfTelemetry", .product(name: "Logging", package: "swift-log")]),
        tests(
            "RedactionTests",
            [
                "Configuration", "CTextScan", "OTLPWire", "Patterns", "Pipeline", "Redaction", "SelfTelemetry",
                .product(name: "Logging", package: "swift-log"),
            ], exclude: ["corpus.py"]),
        tests(
            "SamplingTests",
            [
                "Configuration", "OTLPWire", "Patterns", "Pipeline", "Sampling", "SelfTelemetry",
                .product(name: "Logging", package: "swift-log"),
            ]),
        tests("OTLPReceiverTests", ["OTLPReceiver", "OTLPWire"]),
        tests(
            "ExportersTests",
            [
                "Configuration", "Crypto", "Exporters", "OTLPWire", "Pipeline", "SelfTelemetry",
                .product(name: "Logging", package: "swift-log"),
            ]),
    ],
    cxxLanguageStandard: .cxx17
)
