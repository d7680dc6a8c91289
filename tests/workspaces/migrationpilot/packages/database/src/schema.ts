import {
  boolean,
  decimal,
  index,
  integer,
  jsonb,
  pgEnum,
  pgTable,
  text,
  timestamp,
  uuid,
  varchar,
} from 'drizzle-orm/pg-core';

export const projectStatusEnum = pgEnum('project_status', [
  'draft',
  'analyzing',
  'analysis_complete',
  'designing',
  'design_complete',
  'generating',
  'generation_complete',
  'validating',
  'validation_complete',
  'completed',
  'failed',
]);

export const sourceLanguageEnum = pgEnum('source_language', ['cobol', 'fortran', 'vb6', 'vba', 'java-legacy']);

export const targetLanguageEnum = pgEnum('target_language', ['java', 'python', 'typescript', 'go', 'csharp']);

export const ruleCategory = pgEnum('rule_category', [
  'calculation',
  'validation',
  'decision',
  'transformation',
  'workflow',
  'constraint',
]);

export const reviewStatusEnum = pgEnum('review_status', ['pending', 'approved', 'rejected', 'needs_clarification']);

export const tenants = pgTable('tenants', {
  id: uuid('id').primaryKey().defaultRandom(),
  name: varchar('name', { length: 255 }).notNull(),
  slug: varchar('slug', { length: 100 }).notNull().unique(),
  subscription: varchar('subscription', { length: 50 }).default('free'),
  maxProjects: integer('max_projects').default(5),
  maxUsersPerProject: integer('max_users_per_project').default(10),
  maxLinesOfCode: integer('max_lines_of_code').default(100000),
  dataRetentionDays: integer('data_retention_days').default(90),
  createdAt: timestamp('created_at').defaultNow().notNull(),
});

export const organizations = pgTable('organizations', {
  id: uuid('id').primaryKey().defaultRandom(),
  tenantId: uuid('tenant_id').references(() => tenants.id),
  name: varchar('name', { length: 255 }).notNull(),
  slug: varchar('slug', { length: 100 }).notNull().unique(),
  settings: jsonb('settings').default({}),
  createdAt: timestamp('created_at').defaultNow().notNull(),
  updatedAt: timestamp('updated_at').defaultNow().notNull(),
});

export const users = pgTable('users', {
  id: uuid('id').primaryKey().defaultRandom(),
  email: varchar('email', { length: 255 }).notNull().unique(),
  name: varchar('name', { length: 255 }).notNull(),
  organizationId: uuid('organization_id').references(() => organizations.id),
  role: varchar('role', { length: 50 }).notNull().default('developer'),
  createdAt: timestamp('created_at').defaultNow().notNull(),
});

export const projects = pgTable(
  'projects',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    name: varchar('name', { length: 255 }).notNull(),
    description: text('description'),
    organizationId: uuid('organization_id').references(() => organizations.id),
    sourceLanguage: sourceLanguageEnum('source_language').notNull(),
    targetLanguage: targetLanguageEnum('target_language').notNull(),
    targetFramework: varchar('target_framework', { length: 100 }),
    status: projectStatusEnum('status').notNull().default('draft'),
    settings: jsonb('settings').default({}),
    statistics: jsonb('statistics').default({}),
    createdBy: uuid('created_by').references(() => users.id),
    createdAt: timestamp('created_at').defaultNow().notNull(),
    updatedAt: timestamp('updated_at').defaultNow().notNull(),
  },
  (table) => [index('idx_projects_org').on(table.organizationId)],
);

export const sourceFiles = pgTable(
  'source_files',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    projectId: uuid('project_id').references(() => projects.id),
    path: varchar('path', { length: 500 }).notNull(),
    content: text('content').notNull(),
    language: sourceLanguageEnum('language').notNull(),
  },
  (table) => [index('idx_source_files_project').on(table.projectId)],
);

export const businessRules = pgTable(
  'business_rules',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    projectId: uuid('project_id').references(() => projects.id),
    name: varchar('name', { length: 255 }).notNull(),
    description: text('description').notNull(),
    category: ruleCategory('category').notNull(),
    sourceFile: varchar('source_file', { length: 500 }).notNull(),
    sourceStartLine: integer('source_start_line').notNull(),
    sourceEndLine: integer('source_end_line').notNull(),
    sourceCode: text('source_code').notNull(),
    inputs: jsonb('inputs').default([]),
    outputs: jsonb('outputs').default([]),
    logic: text('logic').notNull(),
    formula: text('formula'),
    confidence: decimal('confidence', { precision: 4, scale: 3 }).notNull(),
    reviewStatus: reviewStatusEnum('review_status').default('pending'),
    reviewedBy: uuid('reviewed_by').references(() => users.id),
    reviewComments: text('review_comments'),
    extractedAt: timestamp('extracted_at').defaultNow().notNull(),
    version: integer('version').notNull().default(1),
  },
  (table) => [index('idx_rules_project_status').on(table.projectId, table.reviewStatus)],
);

export const generatedFiles = pgTable('generated_files', {
  id: uuid('id').primaryKey().defaultRandom(),
  projectId: uuid('project_id').references(() => projects.id),
  path: varchar('path', { length: 500 }).notNull(),
  content: text('content').notNull(),
  type: varchar('type', { length: 50 }).notNull(),
});

export const testCases = pgTable('test_cases', {
  id: uuid('id').primaryKey().defaultRandom(),
  projectId: uuid('project_id').references(() => projects.id),
  ruleId: uuid('rule_id').references(() => businessRules.id),
  inputs: jsonb('inputs').default({}),
  expected: jsonb('expected').default({}),
});

export const auditLogs = pgTable(
  'audit_logs',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    organizationId: uuid('organization_id').references(() => organizations.id),
    userId: uuid('user_id').references(() => users.id),
    action: varchar('action', { length: 100 }).notNull(),
    resourceType: varchar('resource_type', { length: 100 }).notNull(),
    resourceId: uuid('resource_id'),
    metadata: jsonb('metadata').default({}),
    ipAddress: varchar('ip_address', { length: 45 }),
    createdAt: timestamp('created_at').defaultNow().notNull(),
  },
  (table) => [index('idx_audit_created').on(table.createdAt.desc())],
);

export const ruleVersions = pgTable('rule_versions', {
  id: uuid('id').primaryKey().defaultRandom(),
  ruleId: uuid('rule_id').references(() => businessRules.id),
  version: integer('version').notNull(),
  snapshot: jsonb('snapshot').notNull(),
  changedBy: uuid('changed_by').references(() => users.id),
  changeReason: text('change_reason'),
  createdAt: timestamp('created_at').defaultNow().notNull(),
});

export const routingRules = pgTable('routing_rules', {
  id: uuid('id').primaryKey().defaultRandom(),
  projectId: uuid('project_id').references(() => projects.id),
  name: varchar('name', { length: 255 }).notNull(),
  pathPattern: varchar('path_pattern', { length: 500 }).notNull(),
  targetService: varchar('target_service', { length: 50 }).notNull(),
  trafficPercentage: integer('traffic_percentage').default(0),
  shadowMode: boolean('shadow_mode').default(false),
  enabled: boolean('enabled').default(false),
  createdAt: timestamp('created_at').defaultNow().notNull(),
});
