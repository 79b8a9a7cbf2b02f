import Testing
@testable import Configuration

@Suite struct ConfigurationDocumentTests {
    @Test func laterFilesMergeMappingsAndReplaceLists() throws {
        let second = """
            exporters:
              timescaledb: {dsn: x}
            processors: {batch: {timeout: 1s}}
            service:
              pipelines:
                traces:
                  processors: [batch]
                  exporters: [timescaledb, debug]
            """
        let document = try TestCatalogue.load([("a.yaml", minimal), ("b.yaml", second)])
        let pipeline = try #require(document.service.pipelines.first)
        #expect(pipeline.receivers.map(\.id.description) == ["otlp"])
        #expect(pipeline.exporters.map(\.id.description) == ["timescaledb", "debug"])
        #expect(document.all(.exporters).map(\.id.description) == ["debug", "timescaledb"])
    }

    @Test func problemsOfSeveralFilesNameTheFileEachCameFrom() {
        do throws(ConfigurationError) {
            _ = try TestCatalogue.load(
                [("a.yaml", minimal), ("b.yaml", "exporters:\n  debug:\n    nope: 1")], overrides: ["receivers.otlp.protcols=1"])
            Issue.record("loading must fail")
        } catch {
            #expect(error.problems.map(\.description) == [
                "b.yaml:3:5: exporters.debug: unknown key 'nope'",
                "--set receivers.otlp.protcols: receivers.otlp: unknown key 'protcols'; did you mean 'protocols'?",
            ])
        }
    }

    @Test(arguments: [
        ["receivers.otlp.protocols.grpc.endpoint=localhost:1"], ["receivers::otlp::protocols::grpc::endpoint=localhost:1"],
        ["receivers.otlp={protocols: {grpc: {endpoint: \"localhost:1\"}}}"],
    ])
    func setOverridesOneValue(_ overrides: [String]) throws {
        let document = try TestCatalogue.load([("a.yaml", minimal)], overrides: overrides)
        let section = document.component(.receivers, ComponentID(type: "otlp"))?.section
        #expect(section?.section("protocols")?.section("grpc")?.string("endpoint") == "localhost:1")
    }

    @Test(arguments: ["nothing", "=1", "a..b=1", ".=", "a=[", "a=\t- x"])
    func anOverrideThatCannotBeReadIsAProblem(_ argument: String) {
        #expect(throws: ConfigurationError.self) { try TestCatalogue.load([("a.yaml", minimal)], overrides: [argument]) }
    }

    @Test func everyUnreadableFileIsReportedAtOnce() {
        do throws(ConfigurationError) {
            _ = try ConfigurationDocument.load(
                paths: ["/nonexistent/a.yaml", "/", "/nonexistent/b.yaml"], builtIn: TestCatalogue.builtIn, environment: { _ in nil })
            Issue.record("loading must fail")
        } catch {
            #expect(error.problems.map(\.description) == [
                "/nonexistent/a.yaml: cannot be read: No such file or directory",
                "/: cannot be read: Is a directory",
                "/nonexistent/b.yaml: cannot be read: No such file or directory",
            ])
        }
    }

    @Test func theEffectiveConfigurationHidesSecretsShowsDefaultsAndReadsBackTheSame() throws {
        let text = minimal.replacing("  debug:\n", with: """
              debug:
              timescaledb:
                dsn: ${env:DSN}
                schema: "a: b$$c"
                headers: {authorization: hunter2}

            """).replacing("[debug]", with: "[debug, timescaledb]")
        let document = try TestCatalogue.load([("a.yaml", text)], environment: ["DSN": "postgres://u:hunter2@h/d"])
        let printed = document.effectiveYAML()
        #expect(!printed.contains("hunter2"))
        #expect(printed.contains("      dsn: \"[REDACTED]\"") || printed.contains("    dsn: \"[REDACTED]\""))
        #expect(printed.contains("max_recv_msg_size_mib: 64"))
        #expect(printed.contains("shutdown_timeout: 15s"))
        let again = try TestCatalogue.load([("printed.yaml", printed)])
        #expect(again.effectiveYAML() == printed)
        let section = try #require(again.component(.exporters, ComponentID(type: "timescaledb"))).section
        #expect(section.string("schema") == "a: b$c")
    }

    @Test(arguments: ["otlp", "otlp/a", " otlp / a b ", "otlp/é", "a_1/x/y"])
    func componentIdsAreTypeOrTypeSlashName(_ text: String) {
        #expect(ComponentID(text) != nil)
    }

    @Test(arguments: ["", "/", "otlp/", "/a", "9a", "o-tlp", "_a", "otlp/a\nb", "ötlp"])
    func everythingElseIsNoComponentId(_ text: String) {
        #expect(ComponentID(text) == nil)
    }
}
