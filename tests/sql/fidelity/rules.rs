//! Rules of a user's table, each broken by an event and by a plain statement in the same way.

pub struct Rule {
    pub name: &'static str,
    /// The rule, and a person of number 1.
    pub definition: &'static str,
    /// The members of the event of person 2 that break it.
    pub broken: &'static str,
    /// What breaks it as the event does.
    pub statement: &'static str,
    pub sqlstate: &'static str,
}

pub const RULES: &[Rule] = &[
    Rule {
        name: "check",
        definition: "
            INSERT INTO app.person VALUES ('1');
            ALTER TABLE app.person ADD CONSTRAINT \"has a name: 100%s\" CHECK (name <> '')",
        broken: r#""name": """#,
        statement: "INSERT INTO app.person (number, name) VALUES ('2', '')",
        sqlstate: "23514",
    },
    Rule {
        name: "not_null",
        definition: "INSERT INTO app.person VALUES ('1'); ALTER TABLE app.person ALTER name SET NOT NULL",
        broken: r#""name": null"#,
        statement: "INSERT INTO app.person (number, name) VALUES ('2', NULL)",
        sqlstate: "23502",
    },
    Rule {
        name: "unique_index",
        definition: "
            INSERT INTO app.person (number, room) VALUES ('1', 'Ä1');
            CREATE UNIQUE INDEX one_each ON app.person (lower(room))",
        broken: r#""room": "ä1""#,
        statement: "INSERT INTO app.person (number, room) VALUES ('2', 'ä1')",
        sqlstate: "23505",
    },
    Rule {
        name: "exclusion",
        definition: "
            INSERT INTO app.person (number, room) VALUES ('1', 'A');
            ALTER TABLE app.person ADD CONSTRAINT one_in_a_room EXCLUDE USING btree (room WITH =)",
        broken: r#""room": "A""#,
        statement: "INSERT INTO app.person (number, room) VALUES ('2', 'A')",
        sqlstate: "23P01",
    },
    Rule {
        name: "foreign_key",
        definition: "
            INSERT INTO app.person VALUES ('1');
            ALTER TABLE app.person ADD CONSTRAINT known FOREIGN KEY (department) REFERENCES app.department",
        broken: r#""department": "nowhere""#,
        statement: "INSERT INTO app.person (number, department) VALUES ('2', 'nowhere')",
        sqlstate: "23503",
    },
    Rule {
        name: "domain",
        definition: "INSERT INTO app.person VALUES ('1')",
        broken: r#""age": 151"#,
        statement: "INSERT INTO app.person (number, age) VALUES ('2', 151)",
        sqlstate: "23514",
    },
    Rule {
        name: "trigger_with_everything",
        definition: "
            INSERT INTO app.person VALUES ('1');
            CREATE FUNCTION app.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION USING MESSAGE = 'no 100%s %n ''ä'' here', ERRCODE = 'ZZ007', DETAIL = E'the\\ndetail, 100%s',
                    HINT = 'the hint, 100%d', CONSTRAINT = 'a constraint', TABLE = 'a table', COLUMN = 'a column',
                    SCHEMA = 'a schema', DATATYPE = 'a datatype';
            END $$;
            CREATE FUNCTION app.call() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF NEW.room = 'B' THEN UPDATE app.person SET name = 'Bob' WHERE number = '1'; END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER refuse BEFORE UPDATE ON app.person FOR EACH ROW EXECUTE FUNCTION app.refuse();
            CREATE TRIGGER call AFTER INSERT ON app.person FOR EACH ROW EXECUTE FUNCTION app.call()",
        broken: r#""room": "B""#,
        statement: "INSERT INTO app.person (number, room) VALUES ('2', 'B')",
        sqlstate: "ZZ007",
    },
    // What is tried again, or read as a value that does not fit, where others raise it.
    Rule {
        name: "trigger_like_a_lost_race",
        definition: "
            INSERT INTO app.person VALUES ('1');
            CREATE FUNCTION app.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE unique_violation USING MESSAGE = 'taken', CONSTRAINT = 'person_pkey', HINT = 'the hint'; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON app.person
                FOR EACH ROW WHEN (NEW.room = 'B') EXECUTE FUNCTION app.refuse()",
        broken: r#""room": "B""#,
        statement: "INSERT INTO app.person (number, room) VALUES ('2', 'B')",
        sqlstate: "23505",
    },
    Rule {
        name: "trigger_that_computes",
        definition: "
            INSERT INTO app.person VALUES ('1');
            CREATE FUNCTION app.compute() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN NEW.age := 1 / NEW.age; RETURN NEW; END $$;
            CREATE TRIGGER compute BEFORE INSERT ON app.person
                FOR EACH ROW WHEN (NEW.room = 'B') EXECUTE FUNCTION app.compute()",
        broken: r#""room": "B", "age": 0"#,
        statement: "INSERT INTO app.person (number, room, age) VALUES ('2', 'B', 0)",
        sqlstate: "22012",
    },
    Rule {
        name: "trigger_like_one_of_ours",
        definition: "
            INSERT INTO app.person VALUES ('1');
            CREATE FUNCTION app.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'like ours' USING ERRCODE = 'MP006', TABLE = 'person'; END $$;
            CREATE TRIGGER refuse AFTER INSERT ON app.person
                FOR EACH ROW WHEN (NEW.room = 'B') EXECUTE FUNCTION app.refuse()",
        broken: r#""room": "B""#,
        statement: "INSERT INTO app.person (number, room) VALUES ('2', 'B')",
        sqlstate: "MP006",
    },
];
