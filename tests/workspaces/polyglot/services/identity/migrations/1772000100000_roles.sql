-- Up Migration
CREATE TABLE roles (
  name text PRIMARY KEY,
  description text NOT NULL DEFAULT ''
);
CREATE TABLE user_roles (
  user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  role text NOT NULL REFERENCES roles (name),
  PRIMARY KEY (user_id, role)
);

-- Down Migration
DROP TABLE user_roles;
DROP TABLE roles;
