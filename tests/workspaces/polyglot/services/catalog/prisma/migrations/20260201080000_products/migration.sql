-- CreateTable
CREATE TABLE "products" (
    "sku" TEXT NOT NULL,
    "title" TEXT NOT NULL,
    "price_cents" BIGINT NOT NULL,

    CONSTRAINT "products_pkey" PRIMARY KEY ("sku")
);
